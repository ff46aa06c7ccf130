"""A terminal on the way to the studio: asked at once, while Textual is still being imported.

What is typed meanwhile is kept, what is answered is not echoed, and nothing waits: an answer that has
not come when the first frame could be drawn is heard by the studio later. Unix only.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping
from typing import Any

from sdtui.terminal.answers import CellSize
from sdtui.terminal.dialogue import Dialogue
from sdtui.terminal.protocols import brand_of

UNASKED = frozenset({"", "dumb", "linux", "unknown"})
"""Values of TERM whose terminals would print a question instead of answering it."""
ANSWER_SECONDS = 2.0
"""How long a terminal may take where somebody waits for it."""


class Opening:
    """The terminal at ``keyboard`` and ``screen`` (file descriptors), which takes answers without echo.

    Closing it puts the terminal's settings back.
    """

    def __init__(self, keyboard: int, screen: int, environment: Mapping[str, str]) -> None:
        self.dialogue = Dialogue()
        self.typed = b""
        """What a person typed ahead."""
        self.settings: list[Any] = termios.tcgetattr(keyboard)
        self._keyboard, self._screen = keyboard, screen
        if environment.get("TERM", "") in UNASKED or environment.get("TERM_PROGRAM") == "Apple_Terminal":
            return
        quiet = termios.tcgetattr(keyboard)
        quiet[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
        termios.tcsetattr(keyboard, termios.TCSANOW, quiet)  # not TCSAFLUSH: what is typed ahead stays
        # A terminal that prints what it does not know is wiped again from where the cursor was.
        os.write(screen, b"\x1b7" + self.dialogue.probe() + b"\x1b8\x1b[J")

    def listen(self, seconds: float) -> None:
        """Read until everything is answered, at most so long; with 0, what is there already."""
        self._read(seconds, lambda: not self.dialogue.open)

    def listen_beyond_tmux(self, seconds: float) -> None:
        """Ask the terminal around tmux too, and read until it has answered, at most so long."""
        os.write(self._screen, self.dialogue.probe_beyond_tmux())
        self._read(seconds, lambda: self.dialogue.beyond is not None)

    def _read(self, seconds: float, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not enough():
            ready, _, _ = select.select([self._keyboard], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return
            read = os.read(self._keyboard, 4096)
            if not read:
                return
            typed, _ = self.dialogue.hear(read)
            self.typed += typed

    def close(self) -> None:
        """Put the terminal's settings back as they were."""
        termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self.settings)


def open_terminal(environment: Mapping[str, str]) -> Opening | None:
    """Ask the process's own terminal; None where there is none, or none of the usual kind.

    Textual draws on standard error, so that is asked.
    """
    if environment.get("TEXTUAL_DRIVER") or not (os.isatty(0) and os.isatty(2)):
        return None
    return Opening(0, 2, environment)


def inquire(environment: Mapping[str, str]) -> Dialogue | None:
    """Ask the process's own terminal, and the one around tmux, and wait for the answers; None without one."""
    opening = open_terminal(environment)
    if opening is None:
        return None
    try:
        opening.listen(ANSWER_SECONDS)
        if brand_of(opening.dialogue.report, environment)[0] == "tmux":
            opening.listen_beyond_tmux(ANSWER_SECONDS)
    finally:
        opening.close()
    return opening.dialogue


def cell_of_window(screen: int) -> CellSize | None:
    """A cell's pixels by the kernel's word for the window, which many terminals keep up to date."""
    try:
        rows, columns, width, height = struct.unpack(
            "HHHH", fcntl.ioctl(screen, termios.TIOCGWINSZ, bytes(8))
        )
    except OSError:
        return None
    return CellSize(width // columns, height // rows) if rows and columns and width and height else None
