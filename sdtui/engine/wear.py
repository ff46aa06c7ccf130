"""When a worker has done enough: libraries keep memory that they should give back, and add to it."""

from __future__ import annotations

from dataclasses import dataclass

PICTURES = 100
"""Core ML's GPU memory was seen to grow until the process died after some dozen pictures, or to stay
when a model is given up (apple/ml-stable-diffusion#295); a model loaded again costs seconds."""

GROWTH = 3 << 30
"""Bytes that a worker may hold more than when it first made a picture with the same model."""


@dataclass(frozen=True)
class Endurance:
    """What a worker is good for: ``pictures`` at most, and ``growth`` bytes of memory."""

    pictures: int = PICTURES
    growth: int = GROWTH


ENDURANCE = Endurance()


class Wear:
    """What one worker has behind it."""

    def __init__(self, endurance: Endurance) -> None:
        self._endurance = endurance
        self._pictures = 0
        self._first: dict[str, int] = {}
        self._grown = 0

    def made(self, model: str, held: int) -> None:
        """It made a picture with ``model``, and holds so many bytes in memory now."""
        self._pictures += 1
        self._grown = held - self._first.setdefault(model, held)

    @property
    def worn(self) -> bool:
        """Whether another should take its place."""
        return self._pictures >= self._endurance.pictures or self._grown > self._endurance.growth
