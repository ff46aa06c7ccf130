"""The memory meter."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterable

import psutil

from sdtui.engine.protocol import Memory


def resident(pids: Iterable[int]) -> int:
    """Bytes that these processes hold in memory together; one that is gone holds none."""
    held = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            held += psutil.Process(pid).memory_info().rss
    return held


class Meter:
    """Measures what some processes hold in memory together, and remembers the most."""

    def __init__(self) -> None:
        self._peak = 0

    def read(self, pids: Iterable[int]) -> Memory:
        """Bytes resident in ``pids`` now and at most so far, and in the whole machine."""
        held = resident(pids)
        self._peak = max(self._peak, held)
        machine = psutil.virtual_memory()
        return Memory(
            engine=held,
            engine_peak=self._peak,
            machine=machine.total - machine.available,
            machine_total=machine.total,
        )


class Peak:
    """The most memory that this process holds from now on."""

    def __init__(self) -> None:
        self._highest_before = _highest_ever()
        self._sampled = 0
        self.sample()

    def sample(self) -> None:
        """Look now. Between two looks, only a new record of the whole process is noticed."""
        self._sampled = max(self._sampled, psutil.Process().memory_info().rss)

    def bytes(self) -> int:
        """Bytes resident at most so far."""
        self.sample()
        highest = _highest_ever()
        return highest if highest > self._highest_before else self._sampled


def _highest_ever() -> int:
    """The most bytes that this process ever held; the system counts in KiB, macOS in bytes."""
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024
