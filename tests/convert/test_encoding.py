"""Encoded weights are those of coremltools, bit for bit, and no further from the original."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

from sdtui.conversion import Target
from sdtui.convert.encoding.clusters import cluster
from sdtui.convert.encoding.decoding import decode
from sdtui.convert.encoding.encoded import Array
from sdtui.convert.encoding.encodings import (
    Dense,
    Encoding,
    EncodingError,
    Linear,
    Palette,
    PaletteBits,
    parse,
)
from sdtui.convert.encoding.packing import pack, packed_bytes
from sdtui.runtime.portable.weights import unpack

TARGETS: tuple[Target, ...] = ("macOS13", "macOS15")
CONV, LINEAR = (32, 48, 3, 3), (128, 96)
"""More than 10,000 elements each: from there on coremltools clusters exactly."""


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(48, 32, 3)
        self.linear = nn.Linear(96, 128)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(x), self.linear(y)


@pytest.fixture(scope="module")
def models() -> Iterator[Callable[[Target], Any]]:
    """The two layers as an uncompressed model for a target, and their weights."""
    torch.manual_seed(5)
    inputs = {"x": (1, 48, 3, 3), "y": (1, 96)}
    traced = torch.jit.trace(Layers().eval(), tuple(torch.zeros(shape) for shape in inputs.values()))  # type: ignore[no-untyped-call]
    made: dict[Target, Any] = {}

    def get(target: Target) -> Any:
        if target not in made:
            made[target] = ct.convert(
                traced,
                inputs=[ct.TensorType(name, shape, dtype=np.float32) for name, shape in inputs.items()],
                outputs=[ct.TensorType("a"), ct.TensorType("b")],
                minimum_deployment_target=ct.target[target],
                skip_model_load=True,
            )
        return made[target]

    yield get


def weights(model: Any) -> dict[str, Array]:
    """Every compressible weight by the name of its layer, decompressed by coremltools."""
    found = {}
    for operation in model._mil_program.functions["main"].operations:
        if operation.op_type in ("conv", "linear"):
            source = operation.inputs["weight"]
            found[operation.op_type] = (
                source.val if source.val is not None else source.op.materialized_val_inference()
            )
    return found


def bits_of(array: Array) -> Array:
    return array.view(np.uint16)


CASES: list[tuple[Target, Encoding, Any]] = [
    *(
        (target, Palette(bits), cto.OpPalettizerConfig(mode="kmeans", nbits=bits))
        for target in TARGETS
        for bits in (1, 2, 4, 6, 8)
    ),
    ("macOS15", Palette(3), cto.OpPalettizerConfig(mode="kmeans", nbits=3)),
    *((target, Linear(8), cto.OpLinearQuantizerConfig(mode="linear_symmetric")) for target in TARGETS),
    (
        "macOS15",
        Linear(4, 16),
        cto.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=16
        ),
    ),
]


@pytest.mark.parametrize(
    ("target", "encoding", "config"), CASES, ids=[f"{target}-{encoding.key}" for target, encoding, _ in CASES]
)
def test_bit_for_bit_as_coremltools(
    target: Target, encoding: Encoding, config: Any, models: Callable[[Target], Any]
) -> None:
    plain = models(target)
    compress = cto.linear_quantize_weights if isinstance(encoding, Linear) else cto.palettize_weights
    theirs = weights(compress(plain, cto.OptimizationConfig(global_config=config)))
    originals = weights(plain)
    assert {kind: weight.shape for kind, weight in originals.items()} == {"conv": CONV, "linear": LINEAR}
    for kind, weight in originals.items():
        encoded = encoding.encode(weight, target)
        assert encoded.shape == weight.shape
        assert encoded.dtype == "fp16"
        np.testing.assert_array_equal(bits_of(decode(encoded)), bits_of(theirs[kind].astype(np.float16)))
        names = set(encoded.blobs) - {"shape", "axis", "zero_point"}
        assert encoding.nbytes(weight.shape) == sum(encoded.blobs[name].nbytes for name in names)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
def test_groups_are_no_worse_than_coremltools(bits: PaletteBits, models: Callable[[Target], Any]) -> None:
    """Below 10,000 elements coremltools clusters approximately; we never do."""
    config = cto.OpPalettizerConfig(
        mode="kmeans", nbits=bits, granularity="per_grouped_channel", group_size=8
    )
    theirs = weights(cto.palettize_weights(models("macOS15"), cto.OptimizationConfig(global_config=config)))
    for kind, weight in weights(models("macOS15")).items():
        ours = decode(Palette(bits, 8).encode(weight, "macOS15"))
        assert noise(weight, ours) <= noise(weight, theirs[kind])


def noise(weight: Array, stored: Array) -> float:
    return float(np.square(weight.astype(np.float64) - stored).sum())


def test_groups_that_do_not_divide_the_channels_become_smaller() -> None:
    weight = np.random.default_rng(0).normal(size=(12, 300)).astype(np.float16)
    encoded = Palette(2, 8).encode(weight, "macOS15")
    assert encoded.blobs["lut"].shape == (2, 1, 4, 1)  # two groups of 6
    assert Palette(2, 8).nbytes(weight.shape) == encoded.nbytes


@pytest.mark.parametrize(
    ("encoding", "table", "shape"),
    [
        (Linear(8), "scale", (1, 16, 1, 1)),
        (Linear(4, 8), "scale", (5, 16, 1, 1)),
        (Palette(4, 4), "lut", (1, 4, 1, 1, 16, 1)),
    ],
)
def test_the_channels_of_transposed_convolutions_lie_second(
    encoding: Encoding, table: str, shape: tuple[int, ...]
) -> None:
    weight = np.random.default_rng(1).normal(size=(40, 16, 2, 2)).astype(np.float16)
    weight[:, 4:8] *= np.float16(0.01)
    encoded = encoding.encode(weight, "macOS15", channel_axis=1)
    assert encoded.blobs[table].shape == shape
    small, stored = weight[:, 4:8], decode(encoded)[:, 4:8]
    assert noise(small, stored) < 0.05 * noise(small, np.zeros_like(small))


def test_float32_weights_keep_their_type() -> None:
    weight = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float32)
    for encoding in (Palette(8), Linear(8), Dense("fp32")):
        for target in TARGETS:
            stored = decode(encoding.encode(weight, target))
            assert stored.dtype == np.float32
            assert noise(weight, stored) <= 1e-3 * noise(weight, np.zeros_like(weight))
    np.testing.assert_array_equal(decode(Dense().encode(weight, "macOS13")), weight.astype(np.float16))


def test_few_values_are_kept_exactly() -> None:
    weight = np.random.default_rng(3).choice([-1.5, -0.0, 0.0, 2.0], size=(50, 60)).astype(np.float16)
    for target in TARGETS:
        np.testing.assert_array_equal(decode(Palette(2).encode(weight, target)), weight)
    assert not decode(Linear(8).encode(np.zeros((50, 60), np.float16), "macOS13")).any()


def test_what_a_target_lacks_is_refused() -> None:
    weight = np.ones((64, 64), np.float16)
    for encoding in (Palette(3), Palette(4, 16), Linear(4)):
        with pytest.raises(EncodingError, match="macOS14 cannot hold"):
            encoding.encode(weight, "macOS14")
    for nonsense in (lambda: Palette(5), lambda: Linear(6)):  # type: ignore[arg-type]
        with pytest.raises(EncodingError):
            nonsense()
    with pytest.raises(ValueError, match="finite"):
        Palette(4).encode(np.array([[1, np.inf]], np.float16), "macOS13")


@given(
    st.sampled_from((1, 2, 3, 4, 6, 8)).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            arrays.arrays(np.uint8, st.integers(0, 70), elements=st.integers(0, 2**bits - 1)),
        )
    )
)
def test_packed_codes_unpack(case: tuple[int, Array]) -> None:
    bits, codes = case
    packed = pack(codes, bits)
    assert packed.size == packed_bytes(codes.size, bits)
    np.testing.assert_array_equal(unpack(packed, bits, codes.size), codes)


def test_long_weights_are_packed_in_blocks() -> None:
    codes = np.random.default_rng(4).integers(0, 64, (1 << 18) * 2 + 5).astype(np.uint8)
    np.testing.assert_array_equal(unpack(pack(codes, 6), 6, codes.size), codes)


@given(
    arrays.arrays(np.float16, st.integers(1, 40), elements=st.floats(-100, 100, width=16)),
    st.integers(1, 6),
)
def test_no_table_beats_the_one_found(values: Array, entries: int) -> None:
    """Against the optimum over all ways of cutting the sorted values into runs."""
    palette = cluster(values, entries)
    chosen = palette.centroids[palette.indices(values)]
    found = float(np.square(values.astype(np.float64) - chosen).sum())
    assert found <= best_cost(np.sort(values.astype(np.float64)), entries) + 1e-6 * (1 + found)


def best_cost(values: Array, entries: int) -> float:
    def spread(run: Array) -> float:
        return float(np.square(run - run.mean()).sum())

    costs = [0.0] + [spread(values[:end]) for end in range(1, values.size + 1)]
    for _ in range(entries - 1):
        costs = [0.0] + [
            min(costs[cut] + spread(values[cut:end]) if cut < end else costs[end] for cut in range(end + 1))
            for end in range(1, values.size + 1)
        ]
    return costs[-1]


ENCODINGS = st.one_of(
    st.sampled_from([Dense(), Dense("fp32"), Linear(8)]),
    st.builds(Palette, st.sampled_from((1, 2, 3, 4, 6, 8)), st.none() | st.integers(1, 64)),
    st.builds(Linear, st.just(4), st.integers(1, 128)),
)


@given(ENCODINGS)
def test_keys_name_encodings(encoding: Encoding) -> None:
    assert parse(encoding.key) == encoding


@given(st.text(max_size=12))
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(EncodingError):
        parse(key)
