"""A terminal that answers as a real one was heard to answer, after a delay and no faster than its link."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from tests.on_terminal import OnTerminal

QUESTIONS = {
    "version": rb"\x1b\[>0?q",
    "graphics": rb"\x1b_Gi=1,[^\x1b]*a=q[^\x1b]*\x1b\\",
    "cell": rb"\x1b\[16t",
    "window": rb"\x1b\[14t",
    "attributes": rb"\x1b\[0?c",
    "ready": rb"\x1b\[5n",
    "placed": rb"\x1b_Ga=p,U=1,i=\d+,p=1,c=\d+,r=\d+\x1b\\",
    "sent": rb"\x1b_Ga=T,U=1,i=\d+,",
}
_QUESTION = re.compile(
    rb"\x1bPtmux;(?P<wrapped>(?:[^\x1b]|\x1b\x1b)*)\x1b\\|"
    + b"|".join(b"(?P<%s>%s)" % (name.encode(), question) for name, question in QUESTIONS.items())
)


LONGEST = 10_000
"""Bytes of the longest question, wrapped for tmux: no need to look back further."""


def _whole(sent: bytes) -> bytes:
    """Without what tmux would wait for the end of."""
    begun = sent.rfind(b"\x1bPtmux;")
    return sent[:begun] if begun >= 0 and re.search(rb"[^\x1b]\x1b\\", sent[begun:]) is None else sent


@dataclass(frozen=True)
class Profile:
    """What a terminal answers to each question; a question that is not named stays unanswered."""

    answers: Mapping[str, bytes]
    cell: tuple[int, int] = (0, 0)
    """Pixels, as the kernel knows them."""
    environment: Mapping[str, str] = field(default_factory=dict)


# Recorded from the real ones.
KITTY = Profile(
    {
        "version": b"\x1bP>|kitty(0.41.1)\x1b\\",
        "graphics": b"\x1b_Gi=1;OK\x1b\\",
        "cell": b"\x1b[6;17;8t",
        "window": b"\x1b[4;680;960t",
        "attributes": b"\x1b[?62;c",
        "ready": b"\x1b[0n",
    }
)
OLD_KITTY = Profile({**KITTY.answers, "version": b"\x1bP>|kitty(0.26.5)\x1b\\"})
XTERM = Profile(
    {
        "version": b"\x1bP>|XTerm(398)\x1b\\",
        "window": b"\x1b[4;640;960t",
        "attributes": b"\x1b[?63;1;2;4;6;9;15;16;22;28c",
        "ready": b"\x1b[0n",
    },
    cell=(8, 16),
)
FOOT = Profile(
    {
        "version": b"\x1bP>|foot(1.21.0)\x1b\\",
        "cell": b"\x1b[6;17;8t",
        "attributes": b"\x1b[?62;4;22;28c",
        "ready": b"\x1b[0n",
    }
)
WEZTERM = Profile(
    {
        "version": b"\x1bP>|WezTerm 20240203-110809-5046fc22\x1b\\",
        "graphics": b"\x1b_Gi=1;OK\x1b\\",
        "cell": b"\x1b[6;17;8t",
        "attributes": b"\x1b[?65;4;6;18;22c",
        "ready": b"\x1b[0n",
    }
)
PLAIN = Profile({"attributes": b"\x1b[?1;2c", "ready": b"\x1b[0n"})
MUTE = Profile({})
TMUX = Profile(
    {"version": b"\x1bP>|tmux 3.3a\x1b\\", "attributes": b"\x1b[?1;2c", "ready": b"\x1b[0n"},
)


class FakeTerminal:
    """A program on a pseudo-terminal; ``sent`` is every byte it wrote. Leaving ends the program.

    ``delay`` is in seconds, there and back; ``rate`` in bytes a second.
    """

    def __init__(
        self,
        command: Sequence[str],
        profile: Profile,
        *,
        columns: int = 120,
        rows: int = 40,
        delay: float = 0.0,
        rate: float = float("inf"),
        environment: Mapping[str, str] | None = None,
        beyond: Profile | None = None,
    ) -> None:
        self.sent = bytearray()
        self.pictures: set[bytes] = set()
        """The numbers of those that it has, by kitty's protocol."""
        self._profile, self._beyond = profile, beyond
        self._delay, self._rate, self._allowance = delay, rate, 0.0
        self._due: deque[tuple[float, bytes]] = deque()
        self._looked_at = 0
        self._last = time.monotonic()
        variables = {**profile.environment, **(environment or {})}
        self._child = OnTerminal(command, columns, rows, profile.cell, variables)
        self.process = self._child.process
        self._controller = self._child.controller

    def __enter__(self) -> FakeTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"the last it sent: {bytes(self.sent[-600:])!r}")
        self._child.close()

    def type(self, data: bytes) -> None:
        """Send what a person types."""
        self._due.append((time.monotonic() + self._delay / 2, data))

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size."""
        self._child.resize(columns, rows)

    def attach(self, beyond: Profile) -> None:
        """Put another terminal around tmux, which has no pictures yet."""
        self._beyond = beyond
        self.pictures.clear()

    def run(self, seconds: float) -> None:
        """Take what is sent, at the link's rate, and answer it."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self._step(min(0.02, end - now))

    def quiet(self, seconds: float = 0.25, at_most: float = 10.0) -> None:
        """Go on until nothing has been sent for so long."""
        end = time.monotonic() + at_most
        before, since = len(self.sent), time.monotonic()
        while time.monotonic() - since < seconds and time.monotonic() < end:
            self._step(0.02)
            if len(self.sent) != before:
                before, since = len(self.sent), time.monotonic()

    def until(self, condition: Callable[[bytes], object], seconds: float = 20.0) -> None:
        """Go on until what was sent fulfils a condition; AssertionError when it never does."""
        deadline = time.monotonic() + seconds
        while not condition(bytes(self.sent)):
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            self._step(0.02)

    def ended(self, seconds: float = 20.0) -> int:
        """Wait for the program's end; returns its exit code."""
        self.until(lambda _: self.process.poll() is not None, seconds)
        self.run(0.1)
        return self.process.returncode

    def left_over(self, seconds: float) -> bytes:
        """What would be typed into the shell: whatever arrives once the program has ended."""
        self.run(seconds)
        fcntl.fcntl(self._child.terminal, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            return os.read(self._child.terminal, 65536)
        except BlockingIOError:
            return b""

    def _step(self, seconds: float) -> None:
        now = time.monotonic()
        self._allowance = min(self._rate * 0.05, self._allowance + self._rate * (now - self._last))
        self._last = now
        while self._due and self._due[0][0] <= now:
            os.write(self._controller, self._due.popleft()[1])
        room = int(min(1 << 16, self._allowance)) if self._rate != float("inf") else 1 << 16
        if room < 1 or not select.select([self._controller], [], [], seconds)[0]:
            if room < 1:
                time.sleep(min(seconds, 0.005))
            return
        with contextlib.suppress(OSError):
            read = os.read(self._controller, room)
            self._allowance -= len(read) if self._rate != float("inf") else 0
            self.sent += read
            self._answer()

    def _answer(self) -> None:
        sent = bytes(self.sent[self._looked_at :])
        answers = b""
        start = self._looked_at
        for found in _QUESTION.finditer(_whole(sent)):
            answers += self._answer_to(found)
            self._looked_at = start + found.end()
        self._looked_at = max(self._looked_at, len(self.sent) - LONGEST)
        if answers:
            self._due.append((time.monotonic() + self._delay, answers))

    def _answer_to(self, found: re.Match[bytes]) -> bytes:
        if found.lastgroup != "wrapped":
            return self._said(self._profile, found)
        if self._beyond is None:
            return b""
        inner = found["wrapped"].replace(b"\x1b\x1b", b"\x1b")
        return b"".join(self._said(self._beyond, each) for each in _QUESTION.finditer(inner))

    def _said(self, profile: Profile, found: re.Match[bytes]) -> bytes:
        named = re.search(rb"i=(\d+)", found[0])
        match found.lastgroup:
            case "sent" if named:
                self.pictures.add(named[1])
                return b""
            case "placed" if named and "graphics" in profile.answers:
                told = b"OK" if named[1] in self.pictures else b"ENOENT:no such image"
                return b"\x1b_Gi=%s,p=1;%s\x1b\\" % (named[1], told)
            case name:
                return profile.answers.get(name or "", b"")


SDTUI = [sys.executable, "-P", "-m", "sdtui"]
