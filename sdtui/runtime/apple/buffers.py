"""The arrays that Core ML reads its inputs from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sdtui.runtime.network import Array, TensorSpec

_retired: dict[TensorSpec, list[Array]] = {}
"""Arrays of closed networks, to be used again and never freed.

Core ML lets go of its inputs about a second after a prediction, without Python's lock
(apple/coremltools#2827): it must never hold the last reference.
"""


class InputBuffers:
    """One array for each input, the same for a network's life: writeable, contiguous, float32 or int32.

    Core ML takes no others (no fp16, no rank 0), and reads them in place.
    """

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        self._specs = dict(specs)
        self._arrays = {name: _array(spec) for name, spec in specs.items()}

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy ``inputs``, which have the shapes of the specs."""
        for name, array in inputs.items():
            np.copyto(self._arrays[name], array)

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, in a new dictionary: coremltools writes to the one it gets."""
        return dict(self._arrays)

    def retire(self) -> None:
        """The network is closed: keep the arrays for the next one that has such inputs."""
        for name, array in self._arrays.items():
            _retired.setdefault(self._specs[name], []).append(array)
        self._arrays = {}


def _array(spec: TensorSpec) -> Array:
    retired = _retired.get(spec)
    if retired:
        return retired.pop()
    return np.zeros(spec.shape or (1,), np.float32 if spec.dtype.kind == "f" else np.int32)
