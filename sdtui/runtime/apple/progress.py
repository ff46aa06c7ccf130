"""How far a load has come."""

from __future__ import annotations

import time

from sdtui.runtime.loading import LoadingStage, OnStage, Stage


class LoadClock:
    """Tells ``on_stage`` each stage of a load with the seconds since it began."""

    def __init__(self, on_stage: OnStage) -> None:
        self._on_stage = on_stage
        self._note = ""
        self.restart()

    def restart(self) -> None:
        """A load begins."""
        self._began = time.perf_counter()

    def note(self, text: str) -> None:
        """Say this with the next stage."""
        self._note = text

    def __call__(self, stage: Stage, expected: float | None = None) -> None:
        note, self._note = self._note, ""
        self._on_stage(LoadingStage(stage, time.perf_counter() - self._began, expected, note))
