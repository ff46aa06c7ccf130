"""How long the event loop keeps others waiting while pictures go through a slow link."""

from __future__ import annotations

import time
from pathlib import Path

from tests.terminal.fake_terminal import KITTY, PLAIN, XTERM, Profile
from tests.tui.responsiveness import stage
from tests.tui.responsiveness.figure import Figure, percentile

RATE, DELAY = 50_000.0, 0.3
STEPS = 150
LIMIT = 20.0
TERMINALS = {"kitty": KITTY, "sixel": XTERM, "half blocks": PLAIN}


def measure() -> list[Figure]:
    """Percentiles in milliseconds for each way in which pictures are shown."""
    figures = []
    for name, terminal in TERMINALS.items():
        with stage.home(STEPS) as home:
            waits = _waits(terminal, home / "signs")
        figures += [
            Figure(f"event loop at 50 kB/s, {name}, 95th percentile", percentile(waits, 95), "ms", LIMIT),
            Figure(f"event loop at 50 kB/s, {name}, 99th percentile", percentile(waits, 99), "ms"),
        ]
    return figures


def _waits(profile: Profile, signs: Path) -> list[float]:
    """Milliseconds that each sign took, while previews, pictures and the gallery were sent."""
    command = stage.python("tests.tui.responsiveness.lag_probe", str(signs))
    with stage.studio(command, profile=profile, rate=RATE, delay=DELAY) as terminal:
        stage.furnished(terminal)
        begun = time.monotonic()
        stage.generated(terminal, b"a red apple" + stage.GENERATE)
        terminal.type(stage.GALLERY)
        for _ in range(8):
            terminal.type(stage.RIGHT)
            terminal.run(1.0)
        terminal.type(stage.ESCAPE)
        stage.generated(terminal, stage.NEXT)
        over = time.monotonic()
        terminal.type(stage.QUIT)
        terminal.ended(60)
    told = (line.split() for line in signs.read_text().splitlines())
    return [float(took) * 1000 for asked, took in told if begun <= float(asked) <= over]
