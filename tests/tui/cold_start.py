"""How soon the studio takes a key, beside a bare Textual app: ``python -m tests.tui.cold_start``.

The bare app is an editor and nothing else. Both run in a pseudo-terminal, by turns. A key is typed
ahead as the program starts; what counts is when it stands on the screen. The quickest of several
starts is compared: everything slower is the machine's doing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass

from tests.tui.real_terminal import RealTerminal

BARE = [
    sys.executable,
    "-P",
    "-c",
    """
from textual.app import App
from textual.widgets import TextArea

class Bare(App):
    def compose(self):
        yield TextArea()

Bare().run()
""",
]
SDTUI = [sys.executable, "-P", "-m", "sdtui"]
KEY = "#"
"""A character that neither program shows unless it is typed."""
LIMIT = 1.2
"""How many times as long as a bare app the studio may take."""


@dataclass(frozen=True)
class ColdStart:
    """Seconds from the start of the process until a key stands on the screen."""

    bare: float
    sdtui: float

    @property
    def ratio(self) -> float:
        """How many times as long as a bare app."""
        return self.sdtui / self.bare


def seconds_to_key(command: list[str], environment: dict[str, str]) -> float:
    """Start a program with a key typed ahead, and wait for that key on the screen."""
    with RealTerminal(command, 120, 40, environment) as terminal:
        terminal.type(KEY)
        terminal.sends(KEY.encode())
        seconds = terminal.elapsed
        terminal.press("ctrl+q")
        terminal.ended()
    return seconds


def measure(starts: int) -> ColdStart:
    """The quickest of so many starts of each, by turns, after one of each that fills the caches.

    Both find their modules compiled, as an installed program does.
    """
    from sdtui.engine.client import EngineClient

    with tempfile.TemporaryDirectory(prefix="sdtui-", dir="/tmp") as home:
        os.environ["SDTUI_HOME"] = home
        installed = {"PYTHONPYCACHEPREFIX": f"{home}/compiled", "PYTHONDONTWRITEBYTECODE": ""}
        try:
            turns = [
                (seconds_to_key(BARE, installed), seconds_to_key(SDTUI, installed)) for _ in range(starts + 1)
            ][1:]
        finally:
            EngineClient.stop()
    return ColdStart(min(bare for bare, _ in turns), min(sdtui for _, sdtui in turns))


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    result = measure(parser.parse_args().starts)
    print(f"bare Textual app   {result.bare:.3f} s")
    print(f"sdtui              {result.sdtui:.3f} s")
    print(f"ratio              {result.ratio:.2f}   (at most {LIMIT:g})")


if __name__ == "__main__":
    main()
