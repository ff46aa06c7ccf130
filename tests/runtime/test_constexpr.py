"""Compressed weights of every kind, bit for bit as coremltools decompresses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdtui.runtime import load_network
from sdtui.runtime.portable.ops.constexpr import blockwise_shift_scale, lut_to_dense, lut_to_sparse
from sdtui.runtime.portable.wire import MalformedError
from tests.runtime.decompression import same_weights
from tests.runtime.mil_text_writer import SPELLINGS, Spelling, compile_package
from tests.runtime.small import ENCODINGS, convert_small

_VARIANTS = [(target, name) for target, encodings in ENCODINGS.items() for name in encodings]


@pytest.mark.parametrize(("target", "variant"), _VARIANTS)
def test_weights_decompress_as_in_coremltools(target: str, variant: str, tmp_path: Path) -> None:
    path = tmp_path / "compressed.mlpackage"
    compressed = ENCODINGS[target][variant](convert_small(target))
    compressed.save(str(path))
    assert same_weights(path, compressed) >= 2
    inputs = {"x": np.ones((1, 8, 8, 8), np.float32)}
    result = load_network(path, precision="fp32").predict(inputs)["y"]
    assert np.isfinite(result).all()
    spellings: set[Spelling] = {SPELLINGS[target], "ios17"}
    for spelling in spellings:
        text = compile_package(path, tmp_path / f"{spelling}.mlmodelc", spelling)
        np.testing.assert_array_equal(load_network(text, precision="fp32").predict(inputs)["y"], result)


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
