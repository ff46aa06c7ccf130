"""Two networks that continue each other, as one."""

from __future__ import annotations

from collections.abc import Mapping

from sdtui.runtime.inputs import checked
from sdtui.runtime.network import Array, Network, NetworkError, TensorSpec


class ChainedNetwork:
    """``second`` takes what ``first`` makes, bound by name, and whatever else it needs from outside."""

    def __init__(self, first: Network, second: Network) -> None:
        self._halves = first, second
        self.inputs: Mapping[str, TensorSpec] = {**first.inputs} | {
            name: spec for name, spec in second.inputs.items() if name not in first.outputs
        }
        self.outputs = second.outputs
        self.weight_bytes = first.weight_bytes + second.weight_bytes
        missing = first.outputs.keys() - second.inputs.keys()
        if missing:
            raise NetworkError(
                "cannot load a network in two halves",
                f"the second takes no {', '.join(sorted(missing))}, which the first makes",
                "use two halves of one conversion",
            )

    @property
    def runtime(self) -> str:
        return self._halves[0].runtime

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run both. Raises :class:`NetworkError` as each would."""
        given = checked("a network in two halves", self.inputs, inputs)
        first, second = self._halves
        known = {**given, **first.predict({name: given[name] for name in first.inputs})}
        return second.predict({name: known[name] for name in second.inputs})

    def close(self) -> None:
        for half in self._halves:
            half.close()
