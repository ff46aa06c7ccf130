"""How fast a link takes pictures, learnt from how long they take to be worked off."""

from __future__ import annotations

SLICE_SECONDS = 0.25
"""What may lie between a key and what it changes on the screen: a slice already under way."""
SMALLEST_SLICE, LARGEST_SLICE = 8_000, 512_000
UNKNOWN_RATE = 64_000.0
"""Bytes a second, before anything has been measured: a poor mobile connection."""
TELLING = 2_000
"""Bytes from which a piece tells something of the rate; a smaller one tells the delay."""


class Pace:
    """The rate in bytes a second and the delay in seconds of a link and of the terminal behind it."""

    def __init__(self) -> None:
        self.rate = UNKNOWN_RATE
        self.delay: float | None = None
        self._measured = False

    def took(self, size: int, seconds: float) -> None:
        """So many bytes were worked off after so many seconds."""
        self.delay = seconds if self.delay is None else min(self.delay, seconds)
        if size >= TELLING:
            told = size / max(seconds - (self.delay if self._measured else 0.0), 1e-3)
            self.rate = (self.rate + told) / 2 if self._measured else told
            self._measured = True

    @property
    def slice(self) -> int:
        """Bytes to send at a time."""
        return int(min(LARGEST_SLICE, max(SMALLEST_SLICE, self.rate * SLICE_SECONDS)))

    def within(self, seconds: float) -> int:
        """Bytes that pass in this time."""
        return int(self.rate * seconds)
