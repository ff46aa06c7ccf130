"""A trial under way: how far it is, and what this process has taken so far."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sdtui.bench.measurement import Load, Trial
from sdtui.bench.page_cache import cached
from sdtui.child import Tell
from sdtui.conversion import Stage
from sdtui.settings import places


class Telling:
    """Tells the stages of ``trial``. Steps are counted; how long the rest takes follows from them."""

    def __init__(self, trial: Trial, tell: Tell) -> None:
        self._name = trial.program
        self._tell = tell
        self._total = trial.repeat * trial.request.steps
        self._done = 0
        self._began = time.perf_counter()
        self._stepping = 0.0

    def at(self, stage: str) -> None:
        """Something began that is no step."""
        now = time.perf_counter()
        each = self._stepping / self._done if self._done else None
        self._tell(
            Stage(
                network=self._name,
                stage=stage,
                fraction=round(self._done / self._total, 4),
                elapsed=round(now - self._began, 1),
                remaining=None if each is None else round(each * (self._total - self._done), 1),
            )
        )

    def step(self, seconds: float) -> None:
        """One more step is done."""
        self._done += 1
        self._stepping += seconds
        self.at("denoising")


def timed_load(load: Callable[[], None], first_step: Callable[[], float], weights: list[Path]) -> Load:
    """Run ``load``, which reads ``weights``, then take ``first_step``'s seconds from it.

    Says in which state that found the machine's caches.
    """
    known, before = cached(weights), _compiled()
    began = time.perf_counter()
    load()
    seconds = time.perf_counter() - began
    compiled = max(0, _compiled() - before)
    return Load(seconds=seconds, first_step=first_step(), cached=known, compiled=compiled)


def peak_memory() -> int:
    """The most bytes that this process, since it is this program, held resident.

    On Linux from ``/proc``: ``ru_maxrss`` starts with what its parent held.
    """
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    match = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_accelerator_memory() -> int:
    """The most bytes that torch held on a GPU."""
    return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0


def _compiled() -> int:
    """Networks in the cache that Core ML has compiled."""
    return sum(1 for _ in places().cache.rglob("*.mlmodelc"))
