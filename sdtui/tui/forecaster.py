"""Forecasts in the background: the newest question is the only one that counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message

from sdtui.conversion import ConversionRequest, Forecast
from sdtui.engine.converter import Converter, forecast_of
from sdtui.engine.protocol import Failure
from sdtui.errors import SdtuiError
from sdtui.tui import messages


class Forecaster:
    """``deliver`` takes the answers, from another thread."""

    def __init__(self, deliver: Callable[[Message], object]) -> None:
        self._deliver = deliver
        self._lock = threading.Lock()
        self._wanted: ConversionRequest | None = None
        self._asked: Converter | None = None

    def ask(self, request: ConversionRequest) -> None:
        """Answers Forecasted, unless something else is asked before."""
        self.forget()
        self._wanted = request
        threading.Thread(target=self._forecast, args=(request,), name="forecast", daemon=True).start()

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        with self._lock:
            self._wanted, asked, self._asked = None, self._asked, None
        if asked is not None:
            threading.Thread(target=asked.stop, args=(0.0,), daemon=True).start()

    def _forecast(self, request: ConversionRequest) -> None:
        try:
            with self._lock:
                if self._wanted is not request:
                    return
                asked = self._asked = Converter(request, only_forecast=True)
            answer: Forecast | Failure = forecast_of(asked)
        except SdtuiError as error:
            answer = Failure(error.what, error.why, error.remedy)
        if self._wanted is request:
            self._deliver(messages.Forecasted(request, answer))
