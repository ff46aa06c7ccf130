"""Compressed weights of every kind, bit for bit as coremltools decompresses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sdtui.runtime import Array, load_network
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.ops.constexpr import CONSTEXPR, blockwise_shift_scale, lut_to_dense, lut_to_sparse
from sdtui.runtime.portable.package import open_package
from sdtui.runtime.portable.wire import MalformedError
from tests.runtime.mil_text_writer import SPELLINGS, Spelling, compile_package


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 32, 3, padding=1)
        self.linear = nn.Linear(64, 48)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(self.conv(x).relu().flatten(2)).square()
        return result


@pytest.fixture(scope="module")
def plain() -> Callable[[str], Any]:
    """The uncompressed model for a target, made once."""
    models: dict[str, Any] = {}
    torch.manual_seed(11)
    module = _Small().eval()
    traced = torch.jit.trace(module, torch.zeros(1, 8, 8, 8))  # type: ignore[no-untyped-call]

    def get(target: str) -> Any:
        if target not in models:
            models[target] = ct.convert(
                traced,
                inputs=[ct.TensorType(name="x", shape=(1, 8, 8, 8), dtype=np.float32)],
                outputs=[ct.TensorType(name="y", dtype=np.float32)],
                minimum_deployment_target=getattr(ct.target, target),
                skip_model_load=True,
            )
        return models[target]

    return get


def _palettized(**settings: Any) -> Callable[[Any], Any]:
    config = cto.OptimizationConfig(
        global_config=cto.OpPalettizerConfig(**{"mode": "uniform", "weight_threshold": 100, **settings})
    )
    return lambda model: cto.palettize_weights(model, config)


def _linear(**settings: Any) -> Callable[[Any], Any]:
    config = cto.OptimizationConfig(
        global_config=cto.OpLinearQuantizerConfig(**{"weight_threshold": 100, **settings})
    )
    return lambda model: cto.linear_quantize_weights(model, config)


def _pruned(model: Any) -> Any:
    config = cto.OptimizationConfig(
        global_config=cto.OpMagnitudePrunerConfig(target_sparsity=0.7, weight_threshold=100)
    )
    return cto.prune_weights(model, config)


def _joint(model: Any) -> Any:
    palettized = _palettized(mode="kmeans", nbits=4)(model)
    config = cto.OptimizationConfig(
        global_config=cto.OpLinearQuantizerConfig(granularity="per_tensor", weight_threshold=100)
    )
    return cto.linear_quantize_weights(palettized, config, joint_compression=True)


def _sparse_then(compress: Callable[..., Any], config: Any) -> Callable[[Any], Any]:
    """Compress what pruning has left; zeros stay zeros."""
    config = cto.OptimizationConfig(global_config=config)
    return lambda model: compress(_pruned(model), config, joint_compression=True)


_OLD = {
    **{f"palette-{bits}": _palettized(nbits=bits) for bits in (1, 2, 4, 6, 8)},
    "palette-kmeans": _palettized(mode="kmeans", nbits=4),
    "int8-symmetric": _linear(mode="linear_symmetric"),
    "int8-affine": _linear(mode="linear", dtype="uint8"),
    "sparse": _pruned,
}
_NEW = {
    **{f"palette-{bits}": _palettized(nbits=bits) for bits in (1, 2, 3, 4, 6, 8)},
    "palette-grouped": _palettized(
        mode="kmeans", nbits=3, granularity="per_grouped_channel", group_size=8, channel_axis=0
    ),
    "palette-vectors": _palettized(mode="kmeans", nbits=4, cluster_dim=4),
    "palette-scaled": _palettized(mode="kmeans", nbits=4, enable_per_channel_scale=True),
    "palette-int8-table": _joint,
    "int8-symmetric": _linear(mode="linear_symmetric"),
    "int8-affine": _linear(mode="linear", dtype="uint8"),
    "int4-blocks": _linear(dtype="int4", granularity="per_block", block_size=8),
    "uint4-blocks-affine": _linear(mode="linear", dtype="uint4", granularity="per_block", block_size=4),
    "sparse": _pruned,
    "sparse-palette": _sparse_then(
        cto.palettize_weights, cto.OpPalettizerConfig(mode="kmeans", nbits=4, weight_threshold=100)
    ),
    "sparse-int8": _sparse_then(
        cto.linear_quantize_weights,
        cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=100),
    ),
}
_VARIANTS = [("macOS13", name) for name in _OLD] + [("macOS15", name) for name in _NEW]


@pytest.mark.parametrize(("target", "variant"), _VARIANTS)
def test_weights_decompress_as_in_coremltools(
    target: str, variant: str, plain: Callable[[str], Any], tmp_path: Path
) -> None:
    compressed = {"macOS13": _OLD, "macOS15": _NEW}[target][variant](plain(target))
    path = tmp_path / "compressed.mlpackage"
    compressed.save(str(path))
    theirs = _decompressed_by_coremltools(compressed)
    package = open_package(path)
    constants = Constants(package, package.model.function, torch.device("cpu"))
    compared = 0
    for operation in package.model.function.operations:
        if operation.type in CONSTEXPR:
            ours = constants.tensor(operation.name).numpy()
            np.testing.assert_array_equal(ours, theirs[operation.name].astype(np.float32))
            compared += 1
    assert compared >= 2
    inputs = {"x": np.ones((1, 8, 8, 8), np.float32)}
    result = load_network(path, precision="fp32").predict(inputs)["y"]
    assert np.isfinite(result).all()
    spellings: set[Spelling] = {SPELLINGS[target], "ios17"}
    for spelling in spellings:
        text = compile_package(path, tmp_path / f"{spelling}.mlmodelc", spelling)
        np.testing.assert_array_equal(load_network(text, precision="fp32").predict(inputs)["y"], result)


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


def test_vectors_of_sparse_indices() -> None:
    """The example in the documentation of the operation."""
    mask = np.array(
        [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]], np.uint8
    )
    indices = np.array([0, 1, 1, 0, 1, 1, 0, 0, 1], np.uint8)
    table = np.array([[[[2, 2], [3, 3]]]], np.float16)
    expanded, numbers = lut_to_sparse(mask, indices, table, np.array(0, np.int32))
    np.testing.assert_array_equal(expanded, mask.repeat(2, 0))
    rows = [[2, 3], [2, 3], [3, 2, 3], [3, 2, 3], [3, 2, 2], [3, 2, 2], [3], [3]]
    assert numbers.tolist() == [number for row in rows for number in row]


def test_a_cast_constant(tmp_path: Path) -> None:
    """Nothing that converts today makes one, so here is the text that a compiler would have written."""
    (tmp_path / "a.mlmodelc").mkdir()
    (tmp_path / "a.mlmodelc" / "model.mil").write_text(
        """program(1.0) { func main<ios16>(tensor<fp32, [2]> x) {
        tensor<fp32, [2]> half = constexpr_cast()[output_dtype = tensor<string, []>("fp32"),
            source_val = tensor<fp16, [2]>([0x1p-24, -0x1.8p+1])];
        tensor<fp32, [2]> y = add(x = x, y = half)[name = tensor<string, []>("y")]; } -> (y); }"""
    )
    network = load_network(tmp_path / "a.mlmodelc", precision="fp32")
    assert network.predict({"x": np.zeros(2, np.float32)})["y"].tolist() == [2.0**-24, -3.0]


def test_tables_that_do_not_fit_are_refused() -> None:
    codes = np.array([[0, 3]], np.uint8)
    with pytest.raises(MalformedError, match="does not fit its table"):
        lut_to_dense(codes, np.zeros((1, 1, 2, 1), np.float16))
    with pytest.raises(MalformedError, match="too few indices"):
        lut_to_dense(codes.ravel(), np.zeros(16, np.float16), np.array([1000, 1000]))
    with pytest.raises(MalformedError, match="a table of 5"):
        lut_to_dense(codes.ravel(), np.zeros(5, np.float16), np.array([2]))
    with pytest.raises(MalformedError, match="does not fit its blocks"):
        blockwise_shift_scale(np.zeros((4, 6), np.int8), np.ones((4, 4), np.float16))
