"""What a network may be fed: the same rules on every runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sdtui.runtime.network import Array, NetworkError, TensorSpec


def checked(network: str, specs: Mapping[str, TensorSpec], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs as contiguous float32 or int32 arrays, as the specs ask for.

    Raises NetworkError for a missing, unknown, wrongly shaped or non-numeric input.
    """
    what = f"cannot run {network}"
    for name in inputs:
        if name not in specs:
            raise NetworkError(what, f"it has no input {name}", f"its inputs are {', '.join(specs)}")
    arrays = {}
    for name, spec in specs.items():
        if name not in inputs:
            raise NetworkError(what, f"the input {name} is missing", f"give it an array of {spec.shape}")
        array = np.asarray(inputs[name])
        if array.shape != spec.shape:
            raise NetworkError(
                what, f"the input {name} has the shape {array.shape}", f"it must be {spec.shape}"
            )
        if array.dtype.kind not in "fiub":
            raise NetworkError(what, f"the input {name} holds no numbers", f"give it {spec.dtype} numbers")
        kind = np.float32 if spec.dtype.kind == "f" else np.int32
        arrays[name] = np.ascontiguousarray(array, dtype=kind)
    return arrays
