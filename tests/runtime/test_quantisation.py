"""Quantized activations, as coremltools itself computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from sdtui.runtime import Array, load_network
from tests.runtime.programs import save_program

SCALES = np.array([0.02, 0.5, 0.013], np.float32)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("zero", [None, "scalar", "vector"])
def test_quantized_and_back(dtype: str, zero: str | None, tmp_path: Path) -> None:
    """Everything about 30 steps wide, so that much is cut off on both sides, and ties among it."""
    values = np.random.default_rng(7).normal(0, 3, (2, 3, 40)).astype(np.float32)
    values[0, 1, :8] = np.arange(8) / 4  # halves of a step
    numpy_type = np.dtype(dtype).type
    options: dict[str, Any] = {"scale": np.float32(0.5)} if zero != "vector" else {"scale": SCALES, "axis": 1}
    if zero == "scalar":
        options["zero_point"] = numpy_type(17)
    if zero == "vector":
        options["zero_point"] = np.array([0, 100, 3], numpy_type)
    theirs: list[Array] = []

    def build(x: Any) -> Any:
        known = mb.quantize(input=values, output_dtype=dtype, **options)
        theirs.append(mb.dequantize(input=known.val, **options).op.materialized_val_inference())
        return mb.dequantize(input=mb.quantize(input=x, output_dtype=dtype, **options), **options)

    path = save_program(tmp_path / "q.mlpackage", build, values, target="iOS17")
    network = load_network(path, precision="fp32")
    (ours,) = network.predict({next(iter(network.inputs)): values}).values()
    np.testing.assert_array_equal(ours, theirs[0])
    assert len(np.unique(ours)) > 10


def test_half_precision_keeps_the_steps(tmp_path: Path) -> None:
    """The rounding is done in float32 whatever the products are done in."""
    values = np.random.default_rng(8).normal(0, 1, (1, 16, 8, 8)).astype(np.float32)
    weight = np.eye(16, dtype=np.float32)[:, :, None, None]

    def build(x: Any) -> Any:
        codes = mb.quantize(input=x, scale=np.float32(0.03125), output_dtype="int8")
        return mb.conv(x=mb.dequantize(input=codes, scale=np.float32(0.03125)), weight=weight)

    path = save_program(tmp_path / "h.mlpackage", build, values, target="iOS17")
    network = load_network(path, "cpu-only", "bf16")
    (result,) = network.predict({next(iter(network.inputs)): values}).values()
    np.testing.assert_array_equal(result, np.clip(np.round(values * 32), -128, 127) / 32)
