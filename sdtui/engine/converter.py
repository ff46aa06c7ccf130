"""A conversion in a process of its own, for whoever wants one: the command line, the engine, the studio.

It is told the request as one line of JSON on stdin and tells events as lines of JSON on stdout. When
its stdin closes, because somebody stopped it or because we are gone, it stops; what it has done is
kept, and the same request goes on from there. Light: the interface imports this.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from sdtui.child import STOP_SECONDS, Child, how_it_ended
from sdtui.conversion import ConversionEvent, ConversionReport, ConversionRequest, Forecast
from sdtui.errors import SdtuiError

MODULE = "sdtui.convert.process"
GOES_ON = "convert again, it goes on from there"
PATH_ENDINGS = {".safetensors", ".ckpt", ".bin", ".pt", ".pth"}


class ConversionError(SdtuiError):
    """A conversion ended without a bundle."""


class Converter:
    """A process that converts ``request``, or that only forecasts it. Any thread may stop it.

    ``complaints`` is where it writes what is not meant for people. Raises :class:`ConversionError`
    when it cannot be started.
    """

    def __init__(
        self,
        request: ConversionRequest,
        *,
        only_forecast: bool = False,
        complaints: int | IO[bytes] | IO[str] = subprocess.DEVNULL,
    ) -> None:
        self._child: Child[ConversionEvent] = Child(
            MODULE,
            request,
            *(["--forecast"] if only_forecast else []),
            events=ConversionEvent,
            errors=ConversionError,
            nothing="nothing was converted",
            complaints=complaints,
        )
        self._only_forecast = only_forecast
        self._stopped = threading.Event()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked it to stop."""
        return self._stopped.is_set()

    def events(self) -> Iterator[ConversionEvent]:
        """What it tells, until it is done. Raises :class:`ConversionError` when it ends without a bundle."""
        for event in self._child.events():
            if event is not None:
                yield event
            if isinstance(event, ConversionReport):
                return
        status = self._child.wait()
        if not self.stopped and (status or not self._only_forecast):
            raise ConversionError("the conversion stopped", f"its process {how_it_ended(status)}", GOES_ON)

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Have it stop, with what it has done kept; after ``patience`` seconds it is killed."""
        self._stopped.set()
        self._child.close(patience)

    def close(self) -> None:
        """The same, for :func:`contextlib.closing`."""
        self.stop()


def forecast_of(converter: Converter) -> Forecast:
    """What ``converter`` forecasts. Raises :class:`ConversionError`."""
    for event in converter.events():
        if isinstance(event, Forecast):
            return event
    raise ConversionError("there is no forecast", "the converter told none", "convert without it")


def rooted(request: ConversionRequest) -> ConversionRequest:
    """``request`` as any process understands it, wherever it runs: files by their absolute paths.

    Raises :class:`ConversionError` naming a file that is not there.
    """
    return msgspec.structs.replace(
        request,
        source=_located(request.source),
        output=str(Path(request.output).expanduser().absolute()),
        controlnets=tuple(map(_located, request.controlnets)),
        refiner=request.refiner and _located(request.refiner),
        preview_decoder=request.preview_decoder and _located(request.preview_decoder),
        vae=request.vae and _located(request.vae),
        text_projection=request.text_projection and _located(request.text_projection),
        loras=tuple(msgspec.structs.replace(lora, path=_located(lora.path)) for lora in request.loras),
        embeddings=tuple(map(_located, request.embeddings)),
    )


def _located(text: str) -> str:
    """The absolute path of what is there; what is not, and may be a Hub name, as it is."""
    path = Path(text).expanduser()
    if path.exists():
        return str(path.absolute())
    if text.startswith(("/", ".", "~")) or path.suffix.lower() in PATH_ENDINGS or text.count("/") > 1:
        raise ConversionError(f"{text} cannot be read", "it is not there", "check its name")
    return text
