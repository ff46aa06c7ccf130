"""What the interface's process holds in memory."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.terminal.fake_terminal import FakeTerminal
from tests.tui.responsiveness import stage
from tests.tui.responsiveness.figure import Figure

LIMIT = 90.0
LOOKED_AT = 20


def measure(bundle: Path | None) -> list[Figure]:
    """Megabytes (1e6 bytes): at first, and when pictures were looked at and the gallery is open.

    The vocabulary that the prompt is counted with is a bundle's, or the starter's.
    """
    with stage.home(20, bundle), stage.studio() as terminal:
        stage.furnished(terminal)
        terminal.type(b"a red apple")
        terminal.quiet(1.0)
        figures = _held(terminal, "after the start")
        terminal.type(stage.RECENT)
        for _ in range(LOOKED_AT):
            terminal.type(stage.RIGHT)
            terminal.quiet(0.3)
        terminal.type(stage.ESCAPE)
        terminal.quiet(0.3)
        terminal.type(stage.GALLERY)
        terminal.until(lambda sent: b"PICTURE" in sent)
        terminal.quiet(1.0)
        figures += _held(terminal, f"after {LOOKED_AT} pictures, in the gallery")
        terminal.type(stage.ESCAPE + stage.QUIT)
        terminal.ended()
    return figures


def _held(terminal: FakeTerminal, when: str) -> list[Figure]:
    held = psutil.Process(terminal.process.pid).memory_full_info()
    figures = [Figure(f"memory {when}, resident", held.rss / 1e6, "MB", LIMIT)]
    for name, word in (("pss", "its share"), ("uss", "its own")):  # a Mac tells no share
        if hasattr(held, name):
            figures.append(Figure(f"memory {when}, {word}", getattr(held, name) / 1e6, "MB"))
    return figures
