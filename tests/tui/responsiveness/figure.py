"""What was measured, beside what it may be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """A number of some ``unit``; ``limit`` is the most that it may be, None where it is only told."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it keeps to its limit."""
        return self.limit is None or self.value <= self.limit


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of ``values`` that so many percent of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
