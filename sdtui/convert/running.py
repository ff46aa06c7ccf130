"""Running one step of a conversion in a process of its own, and hearing how far it is."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from sdtui.conversion import ConversionFailed
from sdtui.convert.plan import Progress
from sdtui.errors import SdtuiError
from sdtui.spawn import environment, python

MODULE = "sdtui.convert.step"
POLL_SECONDS = 0.2

Run = Callable[[Path, str | None, Callable[[str, float], None], Callable[[], bool]], None]
"""Carries out a step of a conversion, as :func:`run_step` does."""

_decoder: msgspec.json.Decoder[Progress | ConversionFailed] = msgspec.json.Decoder(
    Progress | ConversionFailed
)


class StepError(SdtuiError):
    """A step of a conversion failed; what and why are those of the process that it ran in."""


def run_step(
    workspace: Path,
    key: str | None,
    on_progress: Callable[[str, float], None],
    cancelled: Callable[[], bool],
) -> None:
    """Make the plan (``key`` None), or the network ``key``, in ``workspace``.

    Raises :class:`StepError` when it fails, KeyboardInterrupt when it was cancelled; either way the
    process is gone, and what it had not finished will be done again.
    """
    arguments = [str(workspace), *([key] if key else [])]
    with subprocess.Popen(
        python(MODULE, *arguments),
        stdin=subprocess.PIPE,  # it ends when this does, however we end
        stdout=subprocess.PIPE,
        env=environment() | {"PYTHONHASHSEED": "0"},  # sets of names decide the order of operations
    ) as process:
        try:
            _listen(process, on_progress, cancelled)
            _check(process.wait(), key)
        finally:
            process.kill()


def _listen(
    process: subprocess.Popen[bytes], on_progress: Callable[[str, float], None], cancelled: Callable[[], bool]
) -> None:
    assert process.stdout is not None
    stage, fraction = "starting", 0.0
    for line in _lines(process.stdout):
        if cancelled():
            raise KeyboardInterrupt
        if line is not None:
            with contextlib.suppress(msgspec.DecodeError):
                message = _decoder.decode(line)
                if isinstance(message, ConversionFailed):
                    raise StepError(message.what, message.why, message.remedy)
                stage, fraction = message.stage, message.fraction
        on_progress(stage, fraction)


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The lines of ``stream`` until it ends, and None whenever there was none for a while."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(POLL_SECONDS):
                yield None
                continue
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            yield from lines


def _check(status: int, key: str | None) -> None:
    if status == 0:
        return
    what = f"the {key.replace('_', ' ')} was not converted" if key else "the checkpoint was not read"
    if status == -signal.SIGKILL:
        why = "its process was killed, perhaps because memory ran out"
        remedy = "close other programs and convert again, it goes on from there"
    else:
        why = f"its process ended unexpectedly (status {status})"
        remedy = "convert again with --debug, it goes on from there"
    raise StepError(what, why, remedy)
