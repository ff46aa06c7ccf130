"""A program in a real pseudo-terminal, what it draws kept by an emulator, keys typed as bytes."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte

from tests.on_terminal import OnTerminal

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f6": "\x1b[17~",
    "f8": "\x1b[19~",
    "f9": "\x1b[20~",
    "f10": "\x1b[21~",
    "f12": "\x1b[24~",
    "space": " ",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "alt+m": "\x1bm",
}


def key(name: str) -> str:
    """What a terminal sends for a key: ``ctrl+g``, ``f1``, ``up``."""
    if name.startswith("ctrl+"):
        return chr(ord(name[-1].upper()) - 64)
    return KEYS[name]


class RealTerminal:
    """``columns`` by ``rows`` cells around a program. Leaving it ends the program."""

    def __init__(
        self, command: Sequence[str], columns: int, rows: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.received = 0
        """Bytes drawn so far."""
        self._started = time.monotonic()
        self._child = OnTerminal(command, columns, rows, environment=environment)
        self.process = self._child.process
        self._controller = self._child.controller

    def __enter__(self) -> RealTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note("the screen was:\n" + self.text)
        self.close()

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self.screen.display)

    @property
    def elapsed(self) -> float:
        """Seconds since the program was started."""
        return time.monotonic() - self._started

    def type(self, text: str) -> None:
        """Send characters as they are."""
        os.write(self._controller, text.encode())

    def press(self, *names: str) -> None:
        """Press keys by name."""
        for name in names:
            self.type(key(name))

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a person dragging its corner would."""
        self.screen.resize(rows, columns)
        self._child.resize(columns, rows)

    def read(self, seconds: float) -> bool:
        """Draw what arrives within ``seconds``; False when nothing did."""
        ready, _, _ = select.select([self._controller], [], [], seconds)
        if not ready:
            return False
        with contextlib.suppress(OSError):  # the program has ended
            data = os.read(self._controller, 1 << 16)
            self.received += len(data)
            self._stream.feed(data)
            return True
        time.sleep(min(seconds, 0.02))
        return False

    def until(self, condition: Callable[[str], object], seconds: float = 20.0) -> str:
        """Read until the screen's text fulfils a condition; raises AssertionError when it never does."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            self.read(0.05)
        return self.text

    def sends(self, wanted: bytes, seconds: float = 20.0) -> None:
        """Read until the program has sent these bytes, without the cost of drawing them."""
        received = b""
        deadline = time.monotonic() + seconds
        while wanted not in received:
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            if select.select([self._controller], [], [], 0.05)[0]:
                received += os.read(self._controller, 1 << 16)

    def shows(self, text: str, seconds: float = 20.0) -> str:
        """Read until ``text`` is on the screen."""
        return self.until(lambda screen: text in screen, seconds)

    def rest(self, seconds: float = 1.0) -> None:
        """Draw what still arrives in the next moment: a thumbnail, the memory gauge."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def ended(self, seconds: float = 10.0) -> int:
        """Wait for the program's end, and return its exit code."""
        self.until(lambda _: self.process.poll() is not None, seconds)
        while self.read(0.05):
            pass
        return self.process.returncode

    def close(self) -> None:
        """Hang up, as closing the window does, and make sure that the program is gone."""
        self._child.close()
