"""Seeded draws that are the same on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Iterable
from itertools import accumulate


class Draws:
    """Numbers from SHA-256 (FIPS 180-4) of seed, stream and a count: nothing that a library may change.

    Streams of one seed have nothing to do with each other, nor have neighbouring seeds.
    """

    def __init__(self, seed: int, stream: str) -> None:
        self._name = f"{seed}/{stream}"
        self._count = 0

    def fraction(self) -> float:
        """The next number, from 0 up to but not 1, in steps of 2**-53."""
        digest = hashlib.sha256(f"{self._name}/{self._count}".encode()).digest()
        self._count += 1
        return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53

    def index(self, weights: Iterable[float]) -> int:
        """Which of things that have these weights, none below 0 and not all 0."""
        reached = list(accumulate(weights))  # sum() rounds in another way since Python 3.12
        return bisect(reached, self.fraction() * reached[-1])
