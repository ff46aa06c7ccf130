"""How far a compression is."""

from __future__ import annotations

import time
from collections.abc import Callable

from sdtui.compress.request import CompressionRequest, Published, Uniform
from sdtui.conversion import Stage

OnStage = Callable[[Stage], None]
OnPart = Callable[[str, float], None]
"""Hears what is being done, and how much of that is done."""

_MEASURED = {
    "drawing pictures": 0.02,
    "measuring weights": 0.7,
    "measuring layers in 8 bits": 0.7,
    "measuring the curve": 0.75,
    "trying recipes": 0.8,
    "recording inputs": 0.83,
}
"""How far the whole is when one of the parts before writing ends, where something is measured first."""

_UNMEASURED = {"recording inputs": 0.2}
_WRITING = 0.8
"""How much of the time that a network takes goes into writing it; the rest compares it."""


class Progress:
    """What is being done, as stages of the whole."""

    def __init__(self, on_stage: OnStage, request: CompressionRequest) -> None:
        measured = request.activations or not isinstance(request.goal, Uniform | Published)
        self._parts = _MEASURED if measured else _UNMEASURED
        self._on_stage = on_stage
        self._began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._began

    def hear(self, part: str, done: float) -> None:
        """A part of what comes before writing."""
        end = self._parts[part]
        start = max((share for share in self._parts.values() if share < end), default=0.0)
        self._tell("", part, start + (end - start) * done)

    def network(self, name: str, index: int, count: int) -> OnPart:
        """What hears of the network ``index`` of ``count``."""
        start = max(self._parts.values())
        share = (1 - start) / count

        def hear(part: str, done: float) -> None:
            within = _WRITING * done if part == "writing" else _WRITING + (1 - _WRITING) * done
            self._tell(name, part, start + share * (index + within))

        return hear

    def _tell(self, network: str, part: str, fraction: float) -> None:
        elapsed = self.elapsed
        remaining = elapsed * (1 - fraction) / fraction if fraction > 0.02 else None
        self._on_stage(Stage(network, part, fraction, elapsed, remaining))
