"""Compressed weights as our reader understands them, beside what coremltools makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdtui.runtime import Array
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.ops.constexpr import CONSTEXPR
from sdtui.runtime.portable.package import open_package


def same_weights(package: Path, model: Any) -> int:
    """How many compressed weights ``package`` has; ``model`` is the same as coremltools opens it.

    Raises AssertionError unless each is decompressed to the very numbers.
    """
    opened = open_package(package)
    constants = Constants(opened, opened.model.function, torch.device("cpu"))
    theirs = _decompressed_by_coremltools(model)
    names = [each.name for each in opened.model.function.operations if each.type in CONSTEXPR]
    for name in names:
        np.testing.assert_array_equal(constants.tensor(name).numpy(), theirs[name].astype(np.float32))
    return len(names)


def _decompressed_by_coremltools(model: Any) -> dict[str, Array]:
    values: dict[str, Array] = {}
    for operation in model._mil_program.functions["main"].operations:
        if not operation.op_type.startswith("constexpr_"):
            continue
        table = operation.inputs.get("lut")
        if table is not None and table.name in values:
            # coremltools' own method does not look into a table that is itself compressed.
            axis = operation.inputs.get("vector_axis")
            value = operation.decompress(
                operation.indices.val, values[table.name], None if axis is None else axis.val
            )
        else:
            value = operation.materialized_val_inference()
        values[operation.outputs[0].name] = value
    return values
