"""Forecasts in the background: one at a time, and only the newest question counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message

from sdtui.conversion import ConversionRequest, Forecast
from sdtui.engine.converter import Converter, forecast_of
from sdtui.engine.protocol import Failure
from sdtui.errors import SdtuiError
from sdtui.tui import messages

STOP_SECONDS = 2.0


class Forecaster:
    """``deliver`` takes the answers, from another thread."""

    def __init__(self, deliver: Callable[[Message], object]) -> None:
        self._deliver = deliver
        self._turn = threading.Lock()
        self._wanted: ConversionRequest | None = None
        self._asked: Converter | None = None

    def ask(self, request: ConversionRequest) -> None:
        """Answers Forecasted, unless something else is asked before."""
        self._wanted = request
        threading.Thread(target=self._forecast, args=(request,), name="forecast", daemon=True).start()

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        self._wanted = None
        threading.Thread(target=self.end, name="end of forecasts", daemon=True).start()

    def end(self) -> None:
        """The same, and wait until nothing is looked at: a conversion wants the place for itself."""
        self._wanted = None
        self._take_turn()
        self._turn.release()

    def _take_turn(self) -> None:
        """Have what is being looked at stop, and wait for that."""
        while not self._turn.acquire(timeout=0.05):
            if self._asked is not None:
                self._asked.stop(STOP_SECONDS)

    def _forecast(self, request: ConversionRequest) -> None:
        self._take_turn()
        try:
            if self._wanted is request:
                answer = self._answer(request)
                if self._wanted is request:
                    self._deliver(messages.Forecasted(request, answer))
        finally:
            self._turn.release()

    def _answer(self, request: ConversionRequest) -> Forecast | Failure:
        try:
            self._asked = Converter(request, only_forecast=True)
            return forecast_of(self._asked)
        except SdtuiError as error:
            return Failure(error.what, error.why, error.remedy)
        finally:
            if self._asked is not None:
                self._asked.stop(STOP_SECONDS)
            self._asked = None
