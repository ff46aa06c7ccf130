"""Networks that share the memory: all of them stay where there is room, else they take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import psutil

from sdtui.diffusion.parts import Part
from sdtui.runtime import Array, Network, NetworkError, TensorSpec

Open = Callable[[Part], Network]


def available_memory() -> int:
    """Bytes that a program may take without others being swapped out."""
    available: int = psutil.virtual_memory().available
    return available


class Residence:
    """A model's networks. ``open_`` brings one into memory, where it ``needs`` so many bytes to run.

    ``seconds`` is how long all loads took so far.
    """

    def __init__(self, open_: Open, needs: Callable[[Part], int]) -> None:
        self._open = open_
        self._needs = needs
        self._present: dict[Part, Network] = {}
        self._ran: dict[Part, str] = {}
        self._useless: set[Part] = set()
        self.seconds = 0.0

    @property
    def empty(self) -> bool:
        """Whether no network is in memory."""
        return not self._present

    def resident(self, part: Part) -> Resident:
        """The network of this part, wherever it is."""
        return Resident(part, self)

    def invite(self, part: Part) -> None:
        """Load a network ahead of its time, unless that would push others out. Raises NetworkError."""
        if part not in self._present and (not self._present or self._room(part)):
            self.present(part)

    def spare(self, part: Part) -> None:
        """Load a network that can be done without, where it has room; nobody leaves for it.

        One that once failed to load is not tried again.
        """
        if part in self._present or part in self._useless or not self._room(part):
            return
        began = time.perf_counter()
        try:
            self._present[part] = self._open(part)
        except (NetworkError, MemoryError):
            self._useless.add(part)
        self.seconds += time.perf_counter() - began

    def holds(self, *parts: Part) -> bool:
        """Whether these networks are all in memory."""
        return all(part in self._present for part in parts)

    def present(self, part: Part) -> Network:
        """The network in memory; where it has no room, the others leave. Raises NetworkError."""
        if part not in self._present:
            if not self._room(part):
                self.close()
            began = time.perf_counter()
            self._present[part] = self._opened(part)
            self.seconds += time.perf_counter() - began
        return self._present[part]

    def close(self) -> None:
        """Give all memory back."""
        while self._present:
            part, network = self._present.popitem()
            self._ran[part] = network.runtime
            network.close()

    def runtime(self, part: Part) -> str:
        """Who runs the network, or ran it before it left."""
        if part in self._present or part not in self._ran:
            return self.present(part).runtime
        return self._ran[part]

    def _opened(self, part: Part) -> Network:
        """The network; where it does not load beside others, they leave: it may be for want of memory,
        which Core ML does not tell from all else that can go wrong."""
        try:
            return self._open(part)
        except NetworkError:
            if self.empty:
                raise
        self.close()
        return self._open(part)

    def _room(self, part: Part) -> bool:
        return available_memory() >= self._needs(part)


class Resident:
    """A network that comes back into memory when something is asked of it."""

    def __init__(self, part: Part, residence: Residence) -> None:
        self._part = part
        self._residence = residence

    def fetch(self) -> None:
        """Have it in memory now. Raises :class:`NetworkError`."""
        self._residence.present(self._part)

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._residence.present(self._part).inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._residence.present(self._part).outputs

    @property
    def weight_bytes(self) -> int:
        return self._residence.present(self._part).weight_bytes

    @property
    def runtime(self) -> str:
        return self._residence.runtime(self._part)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the network does. Raises :class:`NetworkError`, also where it cannot be loaded again."""
        return self._residence.present(self._part).predict(inputs)

    def close(self) -> None:
        """Its residence closes it."""
