"""The engine's conversions: one at a time, beside the pictures, each in a process of its own.

A conversion goes on where it stopped, so none is lost with the engine: the next one takes up what
waits and what ran.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
from msgspec.structs import replace

from sdtui.conversion import (
    ConversionEvent,
    ConversionReport,
    ConversionRequest,
    Forecast,
    NetworkReport,
    Stage,
)
from sdtui.engine.converter import GOES_ON, Converter
from sdtui.engine.protocol import Conversion, Failure
from sdtui.errors import SdtuiError
from sdtui.files import write_atomically

REMEMBERED = 20
"""How many ended conversions a reconnecting client is still told about."""
ATTEMPTS = 3
"""Engines that may die over a conversion before it is given up: it may be what kills them."""
NICENESS = 5
"""Pictures come first: they are what a person waits for."""

GIVEN_UP = Failure(
    what="the conversion was given up",
    why=f"the engine was killed {ATTEMPTS} times while it ran",
    remedy=f"close other programs and {GOES_ON}",
)

log = logging.getLogger(__name__)


class Left(msgspec.Struct, frozen=True):
    """A conversion on disk, and how many engines have begun it without coming to an end of their own."""

    job: str
    request: ConversionRequest
    attempts: int


class Conversions:
    """First come, first served. ``file`` holds what waits and runs; ``tell`` hears of every change."""

    def __init__(self, file: Path, tell: Callable[[Conversion], None]) -> None:
        self._file = file
        self._tell = tell
        self._known: dict[str, Conversion] = {}
        self._attempts: dict[str, int] = {}
        self._converter: Converter | None = None
        self._work = asyncio.Event()
        self.pids: list[int] = []
        """The processes at work, as :meth:`survey` last found them."""

    @property
    def idle(self) -> bool:
        return not self._unfinished()

    @property
    def all(self) -> list[Conversion]:
        """In the order in which they came, those that ended lately too."""
        return list(self._known.values())

    def _unfinished(self) -> list[Conversion]:
        return [each for each in self._known.values() if each.state in ("queued", "running")]

    # ---- what is asked for -----------------------------------------------------------------

    def put(self, job: str, request: ConversionRequest) -> Conversion:
        """Queue it, once: a client that is unsure may ask again and learns how it stands."""
        if job not in self._known:
            self._known[job] = Conversion(job, request, "queued")
            self._save()
            self._work.set()
        return self._known[job]

    def cancel(self, job: str) -> None:
        """End it, running or waiting; what it has done is kept for the same request."""
        for conversion in self._unfinished():
            if conversion.job == job:
                self._change(replace(conversion, state="cancelled"))
                if conversion.state == "running" and self._converter is not None:
                    asyncio.get_running_loop().run_in_executor(None, self._converter.stop)

    def cancel_all(self) -> None:
        """End them all."""
        for conversion in self._unfinished():
            self.cancel(conversion.job)

    def survey(self) -> None:
        """Find the processes at work. It takes milliseconds: not for every step of a picture."""
        self.pids = []
        if self._converter is not None:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(self._converter.pid)
                self.pids = [process.pid, *(child.pid for child in process.children(recursive=True))]

    # ---- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Convert what waits until cancelled, which stops the running one; the next engine goes on."""
        self._restore()
        while True:
            while self._unfinished():
                await self._convert(self._unfinished()[0])
            self._work.clear()
            await self._work.wait()

    async def _convert(self, conversion: Conversion) -> None:
        job, loop = conversion.job, asyncio.get_running_loop()
        self._attempts[job] = self._attempts.get(job, 0) + 1
        self._change(replace(conversion, state="running"))
        try:
            converter = self._converter = Converter(conversion.request, complaints=sys.stderr)
        except SdtuiError as error:
            self._fail(job, error)
            return
        try:
            with contextlib.suppress(psutil.Error, OSError):
                psutil.Process(converter.pid).nice(psutil.Process().nice() + NICENESS)
            await asyncio.to_thread(
                _listen, converter, lambda event: loop.call_soon_threadsafe(self._hear, job, event)
            )
        except SdtuiError as error:
            self._fail(job, error)
        except asyncio.CancelledError:
            self._attempts[job] = 0  # the engine leaves of itself: no accident
            self._save()
            raise
        finally:
            await asyncio.to_thread(converter.stop)
            self._converter = None
            self.survey()

    def _hear(self, job: str, event: ConversionEvent) -> None:
        """The running one came further."""
        if self._known[job].state == "running":
            self._change(advanced(self._known[job], event))

    def _fail(self, job: str, error: SdtuiError) -> None:
        log.error("%s: %s", self._known[job].request.name, error)
        if self._known[job].state == "running":
            failure = Failure(error.what, error.why, error.remedy)
            self._change(replace(self._known[job], state="failed", failure=failure))

    def _change(self, conversion: Conversion) -> None:
        before = self._known[conversion.job]
        self._known[conversion.job] = conversion
        if conversion.state != before.state:
            log.info("%s is %s", conversion.request.name, conversion.state)
            self._forget()
            self._save()
        self._tell(conversion)

    def _forget(self) -> None:
        """Let those go that ended long ago."""
        ended = [each.job for each in self.all if each.state not in ("queued", "running")]
        for job in ended[:-REMEMBERED]:
            del self._known[job]
            self._attempts.pop(job, None)

    # ---- on disk ---------------------------------------------------------------------------

    def _save(self) -> None:
        """Write what waits and runs; a disk that is full costs the file, not the work."""
        left = [Left(each.job, each.request, self._attempts.get(each.job, 0)) for each in self._unfinished()]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, msgspec.json.encode(left))
        except OSError as error:
            log.error("the conversions cannot be written to %s: %s", self._file, error)

    def _restore(self) -> None:
        """Take up what an engine before this one left."""
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=list[Left])
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError, msgspec.DecodeError, SdtuiError) as error:
            log.error("the conversions in %s cannot be read: %s", self._file, error)
            with contextlib.suppress(OSError):
                self._file.replace(self._file.with_suffix(".broken"))
            return
        for left in found:
            if left.job in self._known:
                continue
            self._attempts[left.job] = left.attempts
            self._known[left.job] = (
                Conversion(left.job, left.request, "failed", failure=GIVEN_UP)
                if left.attempts >= ATTEMPTS
                else Conversion(left.job, left.request, "queued")
            )
            self._tell(self._known[left.job])


def advanced(conversion: Conversion, event: ConversionEvent) -> Conversion:
    """``conversion`` after ``event``."""
    match event:
        case Forecast():
            return replace(conversion, forecast=event)
        case Stage():
            return replace(conversion, stage=event)
        case NetworkReport():
            return replace(conversion, networks=[*conversion.networks, event])
        case ConversionReport():
            return replace(conversion, state="finished", report=event)


def _listen(converter: Converter, hear: Callable[[ConversionEvent], object]) -> None:
    for event in converter.events():
        hear(event)
