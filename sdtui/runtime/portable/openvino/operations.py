"""MIL operations in OpenVINO's words. Names and arguments are those of the torch implementations.

https://docs.openvino.ai/2025/documentation/openvino-ir-format/operation-sets/operations-specifications.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from openvino import Type
from openvino import opset15 as ov

from sdtui.runtime.portable.ops.linear import padding

Value: TypeAlias = Any
"""An ``openvino.Output``. Its annotations are not strict enough to be checked against."""
Made: TypeAlias = Any
"""An ``openvino.Node``, whose outputs are an operation's results, or one value that was there before."""
Translation = TypeVar("Translation", bound=Callable[..., Made])
Ints = tuple[int, ...]

TRANSLATIONS: dict[str, Callable[..., Made]] = {}
"""Each gives a node whose outputs are an operation's results, or one value that was there before."""


def translates(name: str) -> Callable[[Translation], Translation]:
    """Register a function under the name of a MIL operation."""

    def decorate(function: Translation) -> Translation:
        TRANSLATIONS[name] = function
        return function

    return decorate


_SAME: dict[str, Callable[..., Made]] = {
    "add": ov.add,
    "sub": ov.subtract,
    "mul": ov.multiply,
    "real_div": ov.divide,
    "pow": ov.power,
    "maximum": ov.maximum,
    "minimum": ov.minimum,
    "equal": ov.equal,
    "not_equal": ov.not_equal,
    "greater": ov.greater,
    "less": ov.less,
    "abs": ov.abs,
    "cos": ov.cos,
    "erf": ov.erf,
    "exp": ov.exp,
    "relu": ov.relu,
    "sigmoid": ov.sigmoid,
    "silu": ov.swish,
    "sin": ov.sin,
    "sqrt": ov.sqrt,
    "tanh": ov.tanh,
}
TRANSLATIONS.update(_SAME)
_ROWS = 3
_ACTIVATIONS: dict[str, Callable[[Value], Made]] = {
    "": lambda x: x,
    "relu": ov.relu,
    "silu": ov.swish,
    "gelu": lambda x: ov.gelu(x, "erf"),
}


@translates("square")
def _square(x: Value) -> Made:
    return ov.multiply(x, x)


@translates("rsqrt")
def _rsqrt(x: Value, *, epsilon: float = 1e-12) -> Made:
    return ov.divide(_float(1), ov.sqrt(ov.add(x, _float(epsilon))))


@translates("gelu")
def _gelu(x: Value, *, mode: str = "EXACT") -> Made:
    if mode == "SIGMOID_APPROXIMATION":
        return ov.multiply(x, ov.sigmoid(ov.multiply(x, _float(1.702))))
    return ov.gelu(x, "tanh" if mode == "TANH_APPROXIMATION" else "erf")


@translates("clip")
def _clip(x: Value, *, alpha: float, beta: float) -> Made:
    return ov.clamp(x, alpha, beta)


@translates("select")
def _select(cond: Value, a: Value, b: Value) -> Made:
    return ov.select(cond, a, b)


@translates("cast")
def _cast(x: Value, *, dtype: str) -> Made:
    if dtype == "bool":
        return ov.not_equal(x, ov.constant(0, x.get_element_type()))
    wanted = Type.i32 if "int" in dtype else Type.f32
    return x if x.get_element_type() == wanted else ov.convert(x, wanted)


@translates("linear")
def _linear(x: Value, weight: Value, bias: Value | None = None, *, activation: str = "") -> Made:
    product = ov.matmul(x, weight, False, True)
    return _ACTIVATIONS[activation](product if bias is None else ov.add(product, bias))


@translates("pointwise")
def _pointwise(x: Value, weight: Value, bias: Value | None = None, *, activation: str = "") -> Made:
    product = _linear(_as_rows(x), weight, bias, activation=activation)
    return ov.reshape(product, _ints([*list(x.shape)[:-1], weight.shape[0]]), False)


def _as_rows(x: Value) -> Made:
    """(N, ..., C) as (N, rows, C), the rank at which OpenVINO knows products and layer norms best."""
    return ov.reshape(x, _ints([x.shape[0], -1, x.shape[-1]]), False)


@translates("matmul")
def _matmul(x: Value, y: Value, *, transpose_x: bool = False, transpose_y: bool = False) -> Made:
    return ov.matmul(x, y, transpose_x, transpose_y)


@translates("einsum")
def _einsum(*values: Value, equation: str) -> Made:
    return ov.einsum(list(values), equation)


@translates("conv")
def _conv(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    *,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
    activation: str = "",
) -> Made:
    outputs, inputs, *kernel = weight.shape
    stride, dilation = strides or (1,) * len(kernel), dilations or (1,) * len(kernel)
    pads = padding(pad_type, pad, torch.Size(list(x.shape)[2:]), tuple(kernel), stride, dilation)
    geometry = (stride, pads[::2], pads[1::2], dilation)
    if groups == 1:
        result = ov.convolution(x, weight, *geometry)
    else:
        grouped = ov.reshape(weight, _ints([groups, outputs // groups, inputs, *kernel]), False)
        result = ov.group_convolution(x, grouped, *geometry)
    return _ACTIVATIONS[activation](result if bias is None else ov.add(result, _along(bias, len(kernel))))


@translates("scaled_dot_product_attention")
def _attention(
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    *,
    scale: float | None = None,
    query_axes: Ints = (),
    key_axes: Ints = (),
    value_axes: Ints = (),
    result_axes: Ints = (),
    heads: int = 1,
) -> Made:
    q, k, v = (
        _parted(_moved(x, axes), heads)
        for x, axes in ((query, query_axes), (key, key_axes), (value, value_axes))
    )
    factor = _float(q.shape[-1] ** -0.5 if scale is None else scale)
    result = ov.scaled_dot_product_attention(q, k, v, attn_mask, factor)
    if heads > 1:
        joined = ov.transpose(result, _ints((0, 2, 1, 3)))
        samples, rows, *_ = joined.shape
        result = ov.reshape(joined, _ints((samples, 1, rows, -1)), False)
    return _moved(result, result_axes)


def _parted(x: Value, heads: int) -> Made:
    """(N, 1, L, heads E) as (N, heads, L, E)."""
    if heads == 1:
        return x
    samples, _, rows, channels = x.shape
    parts = ov.reshape(x, _ints((samples, rows, heads, channels // heads)), False)
    return ov.transpose(parts, _ints((0, 2, 1, 3)))


def _moved(x: Value, axes: Ints) -> Made:
    return x if axes in ((), tuple(range(len(axes)))) else ov.transpose(x, _ints(axes))


@translates("softmax")
def _softmax(x: Value, *, axis: int = -1) -> Made:
    return ov.softmax(x, axis)


@translates("layer_norm")
def _layer_norm(
    x: Value, gamma: Value | None = None, beta: Value | None = None, *, axes: Ints = (), epsilon: float = 1e-5
) -> Made:
    if axes == (-1,) and len(x.shape) > _ROWS:
        rows = _layer_norm(_as_rows(x), gamma, beta, axes=axes, epsilon=epsilon)
        return ov.reshape(rows, _ints(x.shape), False)
    rank = len(x.shape)
    normalised = sorted(axis % rank for axis in axes) or list(range(rank))
    result = ov.mvn(x, _ints(normalised), True, epsilon, "inside_sqrt")
    shape = [x.shape[axis] if axis in normalised else 1 for axis in range(normalised[0], rank)]
    if gamma is not None:
        result = ov.multiply(result, ov.reshape(gamma, _ints(shape), False))
    return result if beta is None else ov.add(result, ov.reshape(beta, _ints(shape), False))


@translates("group_norm")
def _group_norm(
    x: Value,
    gamma: Value | None = None,
    beta: Value | None = None,
    *,
    groups: int,
    epsilon: float,
    shape: Ints,
    activation: str = "",
) -> Made:
    channels = x.shape[1]
    scale = gamma if gamma is not None else ov.constant(np.ones(channels, np.float32))
    shift = beta if beta is not None else ov.constant(np.zeros(channels, np.float32))
    result = _ACTIVATIONS[activation](ov.group_normalization(x, scale, shift, groups, epsilon))
    return result if tuple(x.shape) == tuple(shape) else ov.reshape(result, _ints(shape), False)


@translates("batch_norm")
def _batch_norm(
    x: Value,
    mean: Value,
    variance: Value,
    gamma: Value | None = None,
    beta: Value | None = None,
    *,
    epsilon: float = 1e-5,
) -> Made:
    spatial = len(x.shape) - 2
    centred = ov.subtract(x, _along(mean, spatial))
    result = ov.divide(centred, _along(ov.sqrt(ov.add(variance, _float(epsilon))), spatial))
    if gamma is not None:
        result = ov.multiply(result, _along(gamma, spatial))
    return result if beta is None else ov.add(result, _along(beta, spatial))


@translates("reduce_mean")
def _reduce_mean(x: Value, *, axes: Ints = (), keep_dims: bool = False) -> Made:
    return ov.reduce_mean(x, _ints(axes or range(len(x.shape))), keep_dims)


@translates("reduce_sum")
def _reduce_sum(x: Value, *, axes: Ints = (), keep_dims: bool = False) -> Made:
    return ov.reduce_sum(x, _ints(axes or range(len(x.shape))), keep_dims)


@translates("reduce_l2_norm")
def _reduce_l2_norm(x: Value, *, axes: Ints = (), keep_dims: bool = False) -> Made:
    return ov.reduce_l2(x, _ints(axes or range(len(x.shape))), keep_dims)


@translates("reduce_argmax")
def _reduce_argmax(
    x: Value,
    *,
    axis: int = -1,
    keep_dims: bool = False,
    output_dtype: str = "int32",  # noqa: ARG001 - the same number in every integer type
) -> Made:
    largest = ov.topk(x, _int(1), axis, "max", "value", "i32", stable=True).output(1)
    return largest if keep_dims else ov.squeeze(largest, _ints((axis,)))


@translates("reshape")
def _reshape(x: Value, *, shape: Ints) -> Made:
    return ov.reshape(x, _ints(shape), True)


@translates("transpose")
def _transpose(x: Value, *, perm: Ints) -> Made:
    return ov.transpose(x, _ints([axis % len(perm) for axis in perm]))


@translates("expand_dims")
def _expand_dims(x: Value, *, axes: Ints) -> Made:
    rank = len(x.shape) + len(axes)
    return ov.unsqueeze(x, _ints(sorted(axis % rank for axis in axes)))


@translates("squeeze")
def _squeeze(x: Value, *, axes: Ints | None = None) -> Made:
    ones = [axis for axis, size in enumerate(x.shape) if size == 1] if axes is None else axes
    return ov.squeeze(x, _ints(ones))


@translates("concat")
def _concat(*values: Value, axis: int, interleave: bool = False) -> Made:
    if interleave:
        raise ValueError("OpenVINO does not interleave")
    return ov.concat([x if len(x.shape) else ov.unsqueeze(x, _ints((0,))) for x in values], axis)


@translates("stack")
def _stack(*values: Value, axis: int) -> Made:
    return ov.concat([ov.unsqueeze(value, _ints((axis,))) for value in values], axis)


@translates("split")
def _split(x: Value, *, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None) -> Made:
    if split_sizes is not None:
        return ov.variadic_split(x, _int(axis), _ints(split_sizes))
    return ov.split(x, _int(axis), num_splits or 1)


@translates("slice_by_index")
def _slice_by_index(
    x: Value,
    *,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: tuple[bool, ...] | None = None,
    end_mask: tuple[bool, ...] | None = None,
    squeeze_mask: tuple[bool, ...] | None = None,
) -> Made:
    none = (False,) * len(x.shape)
    squeezed = squeeze_mask or none
    masks = zip(begin_mask or none, end_mask or none, squeezed, strict=True)
    bounds = []
    for size, first, last, step, (no_first, no_last, one) in zip(
        x.shape, begin, end, stride or (1,) * len(none), masks, strict=True
    ):
        start = 0 if one and no_first else first
        whole = slice(start, None if start == -1 else start + 1) if one else None
        bounds.append(
            (whole or slice(None if no_first else first, None if no_last else last, step)).indices(size)
        )
    if any(step < 1 for _, _, step in bounds):
        raise ValueError("slices backwards are left to torch")
    starts, stops, steps = zip(*bounds, strict=True)
    result = ov.slice(x, _ints(starts), _ints(stops), _ints(steps))
    ones = [axis for axis, one in enumerate(squeezed) if one]
    return ov.squeeze(result, _ints(ones)) if ones else result


@translates("gather")
def _gather(
    x: Value,
    indices: Value,
    *,
    axis: int = 0,
    batch_dims: int = 0,
    validate_indices: bool = False,  # noqa: ARG001
) -> Made:
    return ov.gather(x, indices, _int(axis), batch_dims)


@translates("gather_nd")
def _gather_nd(
    x: Value,
    indices: Value,
    *,
    batch_dims: int = 0,
    validate_indices: bool = False,  # noqa: ARG001
) -> Made:
    return ov.gather_nd(x, indices, batch_dims)


@translates("pad")
def _pad(x: Value, *, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Made:
    sides = (0,) * (2 * len(x.shape) - len(pad)) + tuple(pad)
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    return ov.pad(x, _ints(sides[::2]), _ints(sides[1::2]), names[mode], _float(constant_val))


@translates("upsample_nearest_neighbor")
def _upsample(x: Value, *, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Made:
    *_, height, width = x.shape
    sizes = [int(height * scale_factor_height), int(width * scale_factor_width)]
    return ov.interpolate(
        x,
        _ints(sizes),
        "nearest",
        "sizes",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=_ints((2, 3)),
    )


@translates("identity")
def _identity(x: Value) -> Made:
    return x


def _along(x: Value, spatial: int) -> Made:
    """Numbers of channels, for (N, C, ...)."""
    return ov.reshape(x, _ints([1, -1, *(1,) * spatial]), False)


def _ints(values: Sequence[int] | range) -> Made:
    return ov.constant(np.array(list(values), np.int64))


def _int(value: int) -> Made:
    return ov.constant(np.array(value, np.int64))


def _float(value: float) -> Made:
    return ov.constant(np.array(value, np.float32))
