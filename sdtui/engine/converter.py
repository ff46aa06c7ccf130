"""A conversion in a process of its own, for whoever wants one: the command line, the engine, the studio.

It is told the request as one line of JSON on stdin and tells events as lines of JSON on stdout. When
its stdin closes, because somebody stopped it or because we are gone, it stops; what it has done is
kept, and the same request goes on from there. Light: the interface imports this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from sdtui.conversion import ConversionEvent, ConversionFailed, ConversionReport, ConversionRequest, Forecast
from sdtui.errors import SdtuiError
from sdtui.files import reason
from sdtui.spawn import environment, python

MODULE = "sdtui.convert.process"
STOP_SECONDS = 5.0
"""How long a converter that was asked to stop may take; killing it loses little."""
GOES_ON = "convert again, it goes on from there"
PATH_ENDINGS = {".safetensors", ".ckpt", ".bin", ".pt", ".pth"}

_decoder: msgspec.json.Decoder[ConversionEvent] = msgspec.json.Decoder(ConversionEvent)


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
        try:
            self._process = subprocess.Popen(
                python(MODULE, *(["--forecast"] if only_forecast else [])),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=environment() | {"TQDM_DISABLE": "1"},  # bars that libraries draw
                start_new_session=True,  # an interrupt typed in the terminal is ours to hear
            )
        except OSError as error:
            raise ConversionError("nothing was converted", reason(error), "try again") from error
        self._only_forecast = only_forecast
        self._stopped = threading.Event()
        threading.Thread(target=self._bury, daemon=True).start()
        self._tell(request)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked it to stop."""
        return self._stopped.is_set()

    def events(self) -> Iterator[ConversionEvent]:
        """What it tells, until it is done. Raises :class:`ConversionError` when it ends without a bundle."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                event = _understood(line)
                if isinstance(event, ConversionFailed):
                    raise ConversionError(event.what, event.why, event.remedy)
                if event is not None:
                    yield event
                if isinstance(event, ConversionReport):
                    return
        self._check()

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Have it stop, with what it has done kept; after ``patience`` seconds it is killed."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill_group()
            self._process.wait()

    def close(self) -> None:
        """The same, for :func:`contextlib.closing`."""
        self.stop()

    def _tell(self, request: ConversionRequest) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once: events() says how
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()

    def _check(self) -> None:
        """It told nothing more: was that its end? Raises :class:`ConversionError` unless it was."""
        status = self._process.wait()
        if self.stopped or (status == 0 and self._only_forecast):
            return
        if status == -signal.SIGKILL:
            why = "it was killed, perhaps because memory ran out"
        else:
            died = f"signal {-status}" if status < 0 else f"exit status {status}"
            why = f"its process ended unexpectedly ({died})"
        raise ConversionError("the conversion stopped", why, GOES_ON)

    def _bury(self) -> None:
        """When it has ended, however it did, end what it had started."""
        self._process.wait()
        self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


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


def _understood(line: bytes) -> ConversionEvent | None:
    """The event in a line; None for what a library printed."""
    with contextlib.suppress(msgspec.DecodeError):
        return _decoder.decode(line)
    return None
