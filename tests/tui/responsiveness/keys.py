"""How long a key takes to the screen while a UNet runs on every core."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.terminal.fake_terminal import FakeTerminal
from tests.tui.responsiveness import stage
from tests.tui.responsiveness.figure import Figure, percentile

IN_ALL = 200
KEYS = [chr(code) for code in range(0x0400, 0x0400 + IN_ALL + 50)]
"""Letters that nothing but the key itself brings to the screen."""
PAUSES = (0.03, 0.12)
"""Seconds between two keys: of a quick hand, and in step with nothing."""
STEPS = 900
LIMIT = 50.0


def measure(bundle: Path | None) -> list[Figure]:
    """Percentiles in milliseconds, beside a bundle's steps or the starter's."""
    with stage.home(STEPS, bundle), stage.studio() as terminal:
        stage.furnished(terminal)
        idle = _typed(terminal, KEYS[IN_ALL:])
        stage.stepping(terminal, stage.NEXT * 6)
        busy = _typed(terminal, KEYS[:IN_ALL])
        terminal.type(stage.QUIT)
        terminal.ended()
    return [
        Figure(
            "key to repaint, engine busy on every core, 99th percentile", percentile(busy, 99), "ms", LIMIT
        ),
        Figure("key to repaint, engine busy on every core, median", percentile(busy, 50), "ms"),
        Figure("key to repaint, engine idle, 99th percentile", percentile(idle, 99), "ms"),
    ]


def _typed(terminal: FakeTerminal, letters: list[str]) -> list[float]:
    """Milliseconds from each letter's key until it is drawn."""
    hand = random.Random(0)
    waits = []
    for letter in letters:
        terminal.run(hand.uniform(*PAUSES))
        waits.append(_drawn(terminal, letter.encode()))
    return waits


def _drawn(terminal: FakeTerminal, letter: bytes) -> float:
    before = len(terminal.sent)
    typed = time.monotonic()
    terminal.type(letter)
    terminal.until(lambda sent: letter in sent[before:])
    return (time.monotonic() - typed) * 1000
