"""Networks that share the memory: all of them stay where there is room, else they take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psutil

from sdtui.bundle.manifest import NetworkRole
from sdtui.runtime import Array, Network, TensorSpec

Open = Callable[[NetworkRole], Network]


def available_memory() -> int:
    """Bytes that a program may take without others being swapped out."""
    available: int = psutil.virtual_memory().available
    return available


class Residence:
    """A model's networks. ``open_`` brings one into memory, where it ``needs`` so many bytes to run."""

    def __init__(self, open_: Open, needs: Callable[[NetworkRole], int]) -> None:
        self._open = open_
        self._needs = needs
        self._present: dict[NetworkRole, Network] = {}

    def resident(self, role: NetworkRole) -> Resident:
        """The network of this role, wherever it is."""
        return Resident(role, self)

    def invite(self, role: NetworkRole) -> None:
        """Load a network ahead of its time, unless that would push others out. Raises NetworkError."""
        if not self._present or self._room(role):
            self.present(role)

    def has(self, role: NetworkRole) -> bool:
        """Whether the network is in memory now."""
        return role in self._present

    def present(self, role: NetworkRole) -> Network:
        """The network in memory; where it has no room, the others leave. Raises NetworkError."""
        if role not in self._present:
            if not self._room(role):
                self.close()
            self._present[role] = self._open(role)
        return self._present[role]

    def close(self) -> None:
        """Give all memory back."""
        while self._present:
            self._present.popitem()[1].close()

    def _room(self, role: NetworkRole) -> bool:
        return available_memory() >= self._needs(role)


class Resident:
    """A network that comes back into memory when something is asked of it."""

    def __init__(self, role: NetworkRole, residence: Residence) -> None:
        self._role = role
        self._residence = residence

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._residence.present(self._role).inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._residence.present(self._role).outputs

    @property
    def weight_bytes(self) -> int:
        return self._residence.present(self._role).weight_bytes

    @property
    def runtime(self) -> str:
        return self._residence.present(self._role).runtime

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the network does. Raises :class:`NetworkError`, also where it cannot be loaded again."""
        return self._residence.present(self._role).predict(inputs)

    def close(self) -> None:
        """Its residence closes it."""
