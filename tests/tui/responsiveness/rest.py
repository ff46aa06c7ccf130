"""What the studio takes while nothing happens, or while only the engine works."""

from __future__ import annotations

import time

import psutil

from tests.terminal.fake_terminal import FakeTerminal
from tests.tui.responsiveness import stage
from tests.tui.responsiveness.figure import Figure

SECONDS = 10.0
STILL_SECONDS = 5.0
STEPS = 900


def measure() -> list[Figure]:
    """Share of one core, and bytes sent."""
    with stage.home(20), stage.studio() as terminal:
        stage.furnished(terminal)
        stage.generated(terminal, b"a red apple" + stage.GENERATE)
        idle, _ = _share(terminal)
        before = len(terminal.sent)
        terminal.run(STILL_SECONDS)
        still = len(terminal.sent) - before
        terminal.type(stage.QUIT)
        terminal.ended()
    with stage.home(STEPS), stage.studio() as terminal:
        stage.furnished(terminal)
        stage.stepping(terminal, b"a red apple" + stage.NEXT * 6)
        busy, steps = _share(terminal)
        terminal.type(stage.QUIT)
        terminal.ended()
    return [
        Figure("processor after a finished picture", idle * 100, "%", 1.0),
        Figure("sent in 5 s after a finished picture", still, "B", 0.0),
        Figure("processor beside a running job", busy * 100, "%"),
        Figure("sent beside a running job", steps / SECONDS / 1000, "kB/s"),
    ]


def _share(terminal: FakeTerminal) -> tuple[float, int]:
    """The part of one core that the studio takes over some seconds, and the bytes it sends."""
    process = psutil.Process(terminal.process.pid)
    before, sent, begun = process.cpu_times(), len(terminal.sent), time.monotonic()
    terminal.run(SECONDS)
    after = process.cpu_times()
    taken = after.user + after.system - before.user - before.system
    return taken / (time.monotonic() - begun), len(terminal.sent) - sent
