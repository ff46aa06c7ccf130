"""Operations one by one, through coremltools' MIL builder, against numpy and torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from sdtui.runtime import Array, load_network
from tests.runtime.programs import save_program

_numbers = np.random.default_rng(3)


def _random(*shape: int) -> Array:
    return _numbers.standard_normal(shape).astype(np.float32)


def _torch(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operations")


_counter = itertools.count()


def run(folder: Path, build: Callable[..., Any], *inputs: Array, target: str = "iOS16") -> list[Array]:
    """Build a program, save it, and run it in fp32."""
    path = save_program(folder / f"{next(_counter)}.mlpackage", build, *inputs, target=target)
    network = load_network(path, precision="fp32")
    return list(network.predict(dict(zip(network.inputs, inputs, strict=True))).values())


def check(result: Array, expected: Any) -> None:
    expected = np.asarray(expected)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("arguments", "pads"),
    [
        ({"pad_type": "valid"}, (0, 0, 0, 0)),
        ({"pad_type": "custom", "pad": [0, 1, 2, 1]}, (2, 1, 0, 1)),
        ({"pad_type": "custom", "pad": [1, 1, 1, 1], "strides": [2, 2]}, (1, 1, 1, 1)),
        ({"pad_type": "same", "strides": [2, 2]}, (1, 1, 0, 1)),
        ({"pad_type": "same_lower", "strides": [2, 2]}, (1, 1, 1, 0)),
        ({"pad_type": "valid", "dilations": [2, 1]}, (0, 0, 0, 0)),
    ],
)
def test_conv(folder: Path, arguments: dict[str, Any], pads: tuple[int, ...]) -> None:
    x, weight, bias = _random(1, 4, 8, 7), _random(6, 2, 3, 3), _random(6)
    (result,) = run(folder, lambda x: mb.conv(x=x, weight=weight, bias=bias, groups=2, **arguments), x)
    padded = F.pad(_torch(x), pads)
    stride, dilation = arguments.get("strides", 1), arguments.get("dilations", 1)
    check(result, F.conv2d(padded, _torch(weight), _torch(bias), stride, 0, dilation, 2))


def test_conv_of_one_axis(folder: Path) -> None:
    x, weight = _random(1, 3, 9), _random(4, 3, 2)
    (result,) = run(folder, lambda x: mb.conv(x=x, weight=weight, pad_type="custom", pad=[0, 1]), x)
    check(result, F.conv1d(F.pad(_torch(x), (0, 1)), _torch(weight)))


@pytest.mark.parametrize("output_padding", [0, 1])
def test_conv_transpose(folder: Path, output_padding: int) -> None:
    x, weight, bias = _random(1, 4, 5, 6), _random(4, 3, 3, 3), _random(3)
    expected = F.conv_transpose2d(_torch(x), _torch(weight), _torch(bias), 2, 1, output_padding)
    shape = {"output_shape": list(expected.shape)} if output_padding else {}
    (result,) = run(
        folder,
        lambda x: mb.conv_transpose(
            x=x, weight=weight, bias=bias, strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1], **shape
        ),
        x,
    )
    check(result, expected)


def test_linear_and_matmul(folder: Path) -> None:
    x, weight, bias, y = _random(2, 3, 4), _random(5, 4), _random(5), _random(2, 5, 3)
    results = run(
        folder,
        lambda x, y: (
            mb.linear(x=x, weight=weight, bias=bias),
            mb.matmul(x=x, y=y, transpose_x=True, transpose_y=True),
        ),
        x,
        y,
    )
    check(results[0], x @ weight.T + bias)
    check(results[1], x.swapaxes(1, 2) @ y.swapaxes(1, 2))


def test_einsum_of_split_attention(folder: Path) -> None:
    k, q = _random(2, 7, 1, 4), _random(2, 4, 1, 5)
    (result,) = run(folder, lambda k, q: mb.einsum(values=(k, q), equation="bkhc,bchq->bkhq"), k, q)
    check(result, np.einsum("bkhc,bchq->bkhq", k, q))


@pytest.mark.parametrize("mask", [None, "float", "bool"])
def test_scaled_dot_product_attention(folder: Path, mask: str | None) -> None:
    q, k, v = _random(2, 3, 5, 4), _random(2, 3, 6, 4), _random(2, 3, 6, 4)
    given = {None: None, "float": _random(1, 1, 5, 6), "bool": np.tri(5, 6, dtype=bool)[None, None]}[mask]
    extra = {} if given is None else {"attn_mask": given}
    (result,) = run(
        folder,
        lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v, **extra),
        q,
        k,
        v,
        target="iOS18",
    )
    attn_mask = None if given is None else _torch(given)
    check(result, F.scaled_dot_product_attention(_torch(q), _torch(k), _torch(v), attn_mask))


def test_batch_norm_applies_its_epsilon(folder: Path) -> None:
    x, gamma, beta = _random(2, 3, 4, 4), _random(3), _random(3)
    mean, variance = _random(3), np.ones(3, np.float32)
    (result,) = run(
        folder,
        lambda x: mb.batch_norm(x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=0.5),
        x,
    )
    shape = (3, 1, 1)
    check(result, (x - mean.reshape(shape)) / np.sqrt(1.5) * gamma.reshape(shape) + beta.reshape(shape))


@pytest.mark.parametrize("axes", [[-1], [1], [1, 3]])
def test_layer_norm_over_any_axes(folder: Path, axes: list[int]) -> None:
    x = _random(2, 6, 1, 5)
    shape = [x.shape[axis] for axis in axes]
    gamma, beta = _random(*shape), _random(*shape)
    (result,) = run(folder, lambda x: mb.layer_norm(x=x, axes=axes, gamma=gamma, beta=beta, epsilon=1e-3), x)
    places = [x.shape[axis] if axis in [a % 4 for a in axes] else 1 for axis in range(4)]
    mean, variance = x.mean(tuple(axes), keepdims=True), x.var(tuple(axes), keepdims=True)
    normal = (x - mean) / np.sqrt(variance + 1e-3)
    check(result, normal * gamma.reshape(places) + beta.reshape(places))


def test_layer_norm_without_gamma(folder: Path) -> None:
    x = _random(2, 6)
    (result,) = run(folder, lambda x: mb.layer_norm(x=x, axes=[1], epsilon=1e-5), x)
    check(result, F.layer_norm(_torch(x), (6,)))


def test_instance_and_l2_norm(folder: Path) -> None:
    x, gamma, beta = _random(1, 3, 4, 5), _random(3), _random(3)
    instance, l2 = run(
        folder,
        lambda x: (
            mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=1e-5),
            mb.l2_norm(x=x, epsilon=1e-6),
        ),
        x,
    )
    check(instance, F.instance_norm(_torch(x), None, None, _torch(gamma), _torch(beta)))
    check(l2, x / np.sqrt((x**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-6))


def test_reductions(folder: Path) -> None:
    x = _random(2, 3, 4)
    results = run(
        folder,
        lambda x: (
            mb.reduce_mean(x=x, axes=[-1], keep_dims=True),
            mb.reduce_sum(x=x, axes=[0, 2], keep_dims=False),
            mb.reduce_max(x=x, axes=[1], keep_dims=True),
            mb.reduce_min(x=x, axes=[1], keep_dims=False),
            mb.reduce_l2_norm(x=x, axes=[1], keep_dims=True),
            mb.reduce_sum_square(x=x, axes=[1], keep_dims=True),
        ),
        x,
    )
    for result, expected in zip(
        results,
        (
            x.mean(-1, keepdims=True),
            x.sum((0, 2)),
            x.max(1, keepdims=True),
            x.min(1),
            np.sqrt((x**2).sum(1, keepdims=True)),
            (x**2).sum(1, keepdims=True),
        ),
        strict=True,
    ):
        check(result, expected)


def test_argmax_takes_the_first_of_equals(folder: Path) -> None:
    x = np.array([[1, 7, 7, 0], [5, 5, 5, 5]], np.float32)
    first, kept = run(
        folder,
        lambda x: (
            mb.reduce_argmax(x=x, axis=-1, keep_dims=False),
            mb.reduce_argmax(x=x, axis=0, keep_dims=True),
        ),
        x,
    )
    assert first.dtype == np.int32
    assert first.tolist() == [1, 0]
    assert kept.tolist() == [[1, 0, 0, 1]]


@pytest.mark.parametrize("axis", [1, -1])
def test_softmax(folder: Path, axis: int) -> None:
    x = _random(2, 5, 1, 3) * 20
    (result,) = run(folder, lambda x: mb.softmax(x=x, axis=axis), x)
    check(result, torch.softmax(_torch(x), axis))


@pytest.mark.parametrize(
    ("shape", "expected"), [([6, 4], (6, 4)), ([0, -1, 2], (2, 6, 2)), ([-1], (24,)), ([4, 0, 2], (4, 3, 2))]
)
def test_reshape(folder: Path, shape: list[int], expected: tuple[int, ...]) -> None:
    x = _random(2, 3, 4)
    (result,) = run(folder, lambda x: mb.reshape(x=x, shape=shape), x)
    check(result, x.reshape(expected))


def test_axes_come_and_go(folder: Path) -> None:
    x = _random(2, 1, 3, 1)
    results = run(
        folder,
        lambda x: (
            mb.transpose(x=x, perm=[0, 2, -3, -1]),
            mb.expand_dims(x=x, axes=[-2]),
            mb.squeeze(x=x, axes=[1]),
            mb.squeeze(x=x),
            mb.tile(x=x, reps=[1, 2, 1, 3]),
            mb.reverse(x=x, axes=[2]),
        ),
        x,
    )
    for result, expected in zip(
        results,
        (
            x.transpose(0, 2, 1, 3),
            x[..., None, :],
            x[:, 0],
            x[:, 0, :, 0],
            np.tile(x, (1, 2, 1, 3)),
            x[:, :, ::-1],
        ),
        strict=True,
    ):
        check(result, expected)


def test_joining_and_splitting(folder: Path) -> None:
    x, y = _random(2, 6), _random(2, 6)
    results = run(
        folder,
        lambda x, y: (
            mb.concat(values=(x, y), axis=-1),
            mb.stack(values=(x, y), axis=1),
            *mb.split(x=x, num_splits=3, axis=1),
            *mb.split(x=x, split_sizes=[1, 5], axis=-1),
        ),
        x,
        y,
    )
    expected = [np.concatenate((x, y), -1), np.stack((x, y), 1), *np.split(x, 3, 1), x[:, :1], x[:, 1:]]
    for result, value in zip(results, expected, strict=True):
        check(result, value)


@pytest.mark.parametrize(
    ("arguments", "index"),
    [
        ({"begin": [0, 1, 2], "end": [2, 3, 5]}, np.s_[0:2, 1:3, 2:5]),
        ({"begin": [0, 0, -3], "end": [2, 3, -1]}, np.s_[:, :, -3:-1]),
        (
            {"begin": [1, 1, 1], "end": [1, 1, 1], "begin_mask": [True] * 3, "end_mask": [True] * 3},
            np.s_[:, :, :],
        ),
        (
            {"begin": [0, 1, 0], "end": [1, 1, 1], "end_mask": [True, True, True], "stride": [1, 1, 2]},
            np.s_[:, 1:, ::2],
        ),
        (
            {
                "begin": [-1, 0, 3],
                "end": [0, 1, 1],
                "end_mask": [False, True, False],
                "squeeze_mask": [True, False, True],
            },
            np.s_[-1, :, 3],
        ),
        (
            {"begin": [0, 2, 4], "end": [2, 0, 0], "stride": [1, -1, -2], "end_mask": [True, False, True]},
            np.s_[:, 2:0:-1, 4::-2],
        ),
    ],
)
def test_slice_by_index(folder: Path, arguments: dict[str, Any], index: Any) -> None:
    x = _random(2, 3, 5)
    (result,) = run(folder, lambda x: mb.slice_by_index(x=x, **arguments), x)
    check(result, x[index])


def test_slice_by_size(folder: Path) -> None:
    x = _random(4, 5)
    (result,) = run(folder, lambda x: mb.slice_by_size(x=x, begin=[1, 2], size=[2, -1]), x)
    check(result, x[1:3, 2:])


def test_gather_takes_indices_of_any_rank(folder: Path) -> None:
    x, indices = _random(5, 6), np.array([[0, 3], [5, 1], [2, -1]], np.int32)
    (result,) = run(folder, lambda x, i: mb.gather(x=x, indices=i, axis=1), x, indices)
    check(result, x[:, indices])


def test_gather_in_batches(folder: Path) -> None:
    x, indices = _random(2, 5, 3), np.array([[0, 4, 1], [2, 2, 3]], np.int32)
    (result,) = run(folder, lambda x, i: mb.gather(x=x, indices=i, axis=1, batch_dims=1), x, indices)
    check(result, np.stack([x[0][indices[0]], x[1][indices[1]]]))


def test_gather_and_scatter_by_address(folder: Path) -> None:
    x, places = _random(3, 4, 2), np.array([[0, 1], [2, 3]], np.int32)
    updates = _random(2, 2)
    along = np.array([[[0, 1]], [[1, 0]], [[1, 1]]], np.int32)
    results = run(
        folder,
        lambda x, i, u, along: (
            mb.gather_nd(x=x, indices=i),
            mb.scatter_nd(data=x, indices=i, updates=u, mode="update"),
            mb.scatter_nd(data=x, indices=i, updates=u, mode="add"),
            mb.gather_along_axis(x=x, indices=along, axis=1),
        ),
        x,
        places,
        updates,
        along,
    )
    update, add = x.copy(), x.copy()
    update[[0, 2], [1, 3]] = updates
    add[[0, 2], [1, 3]] += updates
    check(results[0], x[[0, 2], [1, 3]])
    check(results[1], update)
    check(results[2], add)
    check(results[3], np.take_along_axis(x, along, 1))


def test_gather_by_address_in_batches(folder: Path) -> None:
    x, places = _random(2, 4, 3), np.array([[[0], [3]], [[1], [1]]], np.int32)
    (result,) = run(folder, lambda x, i: mb.gather_nd(x=x, indices=i, batch_dims=1), x, places)
    check(result, np.stack([x[0][[0, 3]], x[1][[1, 1]]]))


def test_pad_counts_from_the_last_axes_in_order(folder: Path) -> None:
    x = _random(1, 2, 3, 4)
    results = run(
        folder,
        lambda x: (
            mb.pad(x=x, pad=[0, 0, 0, 0, 0, 1, 0, 2], mode="constant", constant_val=7.0),
            mb.pad(x=x, pad=[1, 0, 2, 1], mode="reflect"),
            mb.pad(x=x, pad=[1, 0, 2, 1], mode="replicate"),
        ),
        x,
    )
    bottom_right = ((0, 0), (0, 0), (0, 1), (0, 2))
    sides = ((0, 0), (0, 0), (1, 0), (2, 1))
    check(results[0], np.pad(x, bottom_right, constant_values=7.0))
    check(results[1], np.pad(x, sides, mode="reflect"))
    check(results[2], np.pad(x, sides, mode="edge"))


@pytest.mark.parametrize("factor", [2, 1.5])
def test_upsampling(folder: Path, factor: float) -> None:
    x = _random(1, 2, 4, 6)
    factors = {"scale_factor_height": factor, "scale_factor_width": factor}
    nearest, corners, centres = run(
        folder,
        lambda x: (
            mb.upsample_nearest_neighbor(x=x, **factors),
            mb.upsample_bilinear(x=x, **factors, align_corners=True),
            mb.upsample_bilinear(x=x, **factors, align_corners=False),
        ),
        x,
    )
    check(nearest, F.interpolate(_torch(x), scale_factor=factor))
    size = [int(side * factor) for side in x.shape[2:]]
    check(corners, F.interpolate(_torch(x), size, mode="bilinear", align_corners=True))
    check(centres, F.interpolate(_torch(x), size, mode="bilinear", align_corners=False))


def test_resizing(folder: Path) -> None:
    x = _random(1, 2, 4, 6)
    size = {"target_size_height": 7, "target_size_width": 5}
    nearest, bilinear = run(
        folder,
        lambda x: (
            mb.resize_nearest_neighbor(x=x, **size),
            mb.resize_bilinear(x=x, **size, sampling_mode="UNALIGN_CORNERS"),
        ),
        x,
    )
    check(nearest, F.interpolate(_torch(x), size=(7, 5)))
    check(bilinear, F.interpolate(_torch(x), size=(7, 5), mode="bilinear", align_corners=False))


# What the documentation of resize_bilinear says: where two numbers, 0 and 1, are taken from.
_GRIDS = {
    ("UNALIGN_CORNERS", 5): [0.0, 0.1, 0.5, 0.9, 1.0],
    ("STRICT_ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("ALIGN_CORNERS", 1): [0.5],
    ("STRICT_ALIGN_CORNERS", 1): [0.0],
    ("DEFAULT", 5): [0.0, 0.4, 0.8, 1.0, 1.0],
    ("DEFAULT", 6): [0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0],
    ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("OFFSET_CORNERS", 6): [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12],
}


@pytest.mark.parametrize(("mode", "size"), _GRIDS)
def test_resizing_in_every_mode(mode: str, size: int, folder: Path) -> None:
    x = np.array([[[[0, 1], [10, 11]]]], np.float32)
    (result,) = run(
        folder,
        lambda x: mb.resize_bilinear(
            x=x, target_size_height=size, target_size_width=size, sampling_mode=mode
        ),
        x,
    )
    places = np.array(_GRIDS[mode, size], np.float32)
    check(result, (10 * places[:, None] + places)[None, None])


def test_resizing_to_a_shape(folder: Path) -> None:
    x = _random(1, 2, 4, 6)
    linear, narrow, nearest = run(
        folder,
        lambda x: (
            mb.resize(x=x, shape=[1, 7, 5], resized_dims=np.uint32(2), sampling_mode="UNALIGN_CORNERS"),
            mb.resize(x=x, shape=[0, 0, 3], resized_dims=np.uint32(3), sampling_mode="UNALIGN_CORNERS"),
            mb.resize(x=x, shape=[8, 3], resized_dims=np.uint32(1), interpolation_mode="NEAREST_NEIGHBOR"),
        ),
        x,
        target="iOS17",
    )
    check(linear, F.interpolate(_torch(x), size=(7, 5), mode="bilinear", align_corners=False))
    check(narrow, F.interpolate(_torch(x), size=(4, 3), mode="bilinear", align_corners=False))
    check(nearest, F.interpolate(_torch(x), size=(4, 3)))


def test_pooling(folder: Path) -> None:
    x = _random(1, 2, 6, 6)
    common = {"kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]}
    mean, inside, largest = run(
        folder,
        lambda x: (
            mb.avg_pool(x=x, **common),
            mb.avg_pool(x=x, **common, exclude_padding_from_average=True),
            mb.max_pool(x=x, **common),
        ),
        x,
    )
    check(mean, F.avg_pool2d(_torch(x), 3, 2, 1))
    check(inside, F.avg_pool2d(_torch(x), 3, 2, 1, count_include_pad=False))
    check(largest, F.max_pool2d(_torch(x), 3, 2, 1))


def test_arithmetic(folder: Path) -> None:
    x, y = _random(2, 3), np.abs(_random(3)) + 0.5
    results = run(
        folder,
        lambda x, y: (
            mb.add(x=x, y=y),
            mb.sub(x=x, y=y),
            mb.mul(x=x, y=2.0),
            mb.real_div(x=x, y=y),
            mb.pow(x=y, y=1.5),
            mb.floor_div(x=x, y=y),
            mb.maximum(x=x, y=y),
            mb.minimum(x=x, y=y),
            mb.rsqrt(x=y),
            mb.rsqrt(x=y, epsilon=0.25),
            mb.inverse(x=y, epsilon=0.25),
            mb.log(x=y),
            mb.clip(x=x, alpha=-0.5, beta=0.5),
            mb.square(x=x),
            mb.exp2(x=x),
            mb.leaky_relu(x=x, alpha=0.1),
        ),
        x,
        y,
    )
    expected = [
        x + y,
        x - y,
        x * 2,
        x / y,
        y**1.5,
        np.floor(x / y),
        np.maximum(x, y),
        np.minimum(x, y),
        1 / np.sqrt(y),
        1 / np.sqrt(y + 0.25),
        1 / (y + 0.25),
        np.log(y),
        np.clip(x, -0.5, 0.5),
        x**2,
        2**x,
        np.where(x > 0, x, 0.1 * x),
    ]
    for result, value in zip(results, expected, strict=True):
        check(result, value)


def test_activations(folder: Path) -> None:
    x = _random(3, 4)
    results = run(
        folder,
        lambda x: (
            mb.gelu(x=x, mode="EXACT"),
            mb.gelu(x=x, mode="TANH_APPROXIMATION"),
            mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
            mb.silu(x=x),
            mb.sigmoid(x=x),
            mb.tanh(x=x),
            mb.relu(x=x),
            mb.erf(x=x),
        ),
        x,
    )
    t = _torch(x)
    expected = [
        F.gelu(t),
        F.gelu(t, approximate="tanh"),
        t * torch.sigmoid(1.702 * t),
        F.silu(t),
        torch.sigmoid(t),
        torch.tanh(t),
        torch.relu(t),
        torch.erf(t),
    ]
    for result, value in zip(results, expected, strict=True):
        check(result, value)


def test_comparison_selection_and_casts(folder: Path) -> None:
    x = np.array([-2.7, -0.2, 0.0, 3.9], np.float32)
    whole, chosen, both, negative, places, back = run(
        folder,
        lambda x: (
            mb.cast(x=x, dtype="int32"),
            mb.select(cond=mb.greater_equal(x=x, y=0.0), a=x, b=-1.0),
            mb.cast(x=mb.logical_and(x=mb.less(x=x, y=3.0), y=mb.not_equal(x=x, y=0.0)), dtype="fp32"),
            mb.cast(x=mb.logical_not(x=mb.cast(x=x, dtype="bool")), dtype="int32"),
            mb.reduce_sum(x=mb.non_zero(x=mb.greater(x=x, y=-1.0)), axes=[0], keep_dims=False),
            mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"),
        ),
        x,
    )
    assert whole.tolist() == [-2, 0, 0, 3]
    check(chosen, np.where(x >= 0, x, -1))
    assert both.tolist() == [1, 1, 0, 0]
    assert negative.tolist() == [0, 0, 1, 0]
    assert places.tolist() == [1 + 2 + 3]
    assert back.dtype == np.float32


def test_what_is_constant_is_computed_at_loading(folder: Path) -> None:
    x = _random(6)
    half, ones, range_, hot = run(
        folder,
        lambda x: (
            mb.reshape(x=x, shape=mb.concat(values=(mb.const(val=[2]), mb.const(val=[3])), axis=0)),
            mb.mul(x=x, y=mb.fill(shape=[6], value=2.0)),
            mb.mul(x=x, y=mb.range_1d(start=0.0, end=6.0, step=1.0)),
            mb.one_hot(indices=[2, 0], one_hot_vector_size=3),
        ),
        x,
    )
    check(half, x.reshape(2, 3))
    check(ones, x * 2)
    check(range_, x * np.arange(6, dtype=np.float32))
    assert hot.tolist() == [[0, 0, 1], [1, 0, 0]]
