"""The studio with a stopwatch beside its event loop: ``python -m tests.tui.responsiveness.lag_probe FILE``.

A thread asks the loop for a sign every few milliseconds. FILE gets a line for each: when it was asked
for (seconds, the system's monotonic clock) and how many seconds it took. A loop that stands still for a
second owes a hundred signs, so that a standstill weighs what it lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from pathlib import Path

from sdtui.cli import main
from sdtui.tui.app import Studio

EVERY = 0.01


signs: list[tuple[float, float]] = []


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Ask the loop for a sign again and again, as long as it lives."""

    def note(asked: float) -> None:
        signs.append((asked, time.monotonic() - asked))

    def ask() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while True:
                loop.call_soon_threadsafe(note, time.monotonic())
                time.sleep(EVERY)

    threading.Thread(target=ask, daemon=True).start()


if __name__ == "__main__":
    began = Studio.on_ready

    async def on_ready(self: Studio) -> None:
        watch(asyncio.get_running_loop())
        await began(self)

    Studio.on_ready = on_ready  # type: ignore[method-assign]
    try:
        code = main([])
    finally:
        Path(sys.argv[1]).write_text("".join(f"{asked} {took}\n" for asked, took in signs))
    sys.exit(code)
