"""Compressed weights, decompressed with numpy when a network is loaded.

Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html,
the iOS16 and iOS18 ``constexpr_*`` operations. Every function returns what the compressed constant
stands for, in its own type.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from sdtui.runtime.portable.program import Array
from sdtui.runtime.portable.weights import unpack
from sdtui.runtime.portable.wire import MalformedError


def lut_to_dense(
    indices: Array, lut: Array, shape: Array | None = None, vector_axis: Array | None = None
) -> Array:
    """Look each index up in a table.

    With ``shape`` (before iOS18) ``indices`` are packed bits and ``lut`` is one table; without, they
    have their own shape and ``lut`` is (*blocks, 2^n, V): a table for each block of indices, of
    vectors that lie along ``vector_axis``.
    """
    if shape is not None:
        bits = _bits(lut.size)
        sizes = _sizes(shape)
        if indices.size * 8 < prod(sizes) * bits:
            raise MalformedError("a palettized weight has too few indices")
        return np.asarray(lut.reshape(-1)[unpack(indices, bits, prod(sizes))].reshape(sizes))
    if lut.ndim != indices.ndim + 2 or (indices.size and indices.max() >= lut.shape[-2]):
        raise MalformedError("a palettized weight does not fit its table")
    *blocks, entries, width = lut.shape
    if prod(blocks) == 1 and width == 1:
        return np.asarray(lut.reshape(-1)[indices])
    table = np.arange(prod(blocks)).reshape(blocks)
    for axis, size in enumerate(indices.shape):
        table = _repeated(table, axis, size)
    chosen = lut.reshape(-1, entries, width)[table, indices]
    if width == 1:
        return np.asarray(chosen[..., 0])
    if vector_axis is None:
        raise MalformedError("a palettized weight of vectors names no axis")
    axis = int(vector_axis) % indices.ndim
    whole = [size * width if place == axis else size for place, size in enumerate(indices.shape)]
    return np.moveaxis(chosen, -1, axis + 1).reshape(whole)


def affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: Array) -> Array:
    """scale (q - zero_point), the two of them scalars or vectors along ``axis``."""
    along = [1] * quantized_data.ndim
    along[int(axis)] = -1
    shift = zero_point.astype(np.float32).reshape(along if zero_point.size > 1 else ())
    factor = scale.astype(np.float32).reshape(along if scale.size > 1 else ())
    return ((quantized_data.astype(np.float32) - shift) * factor).astype(scale.dtype)


def blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """scale (data - offset), each of the two repeated over its block of ``data``."""
    for axis, size in enumerate(data.shape):
        scale = _repeated(scale, axis, size)
        offset = None if offset is None else _repeated(offset, axis, size)
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted -= offset.astype(np.float32)
    return (shifted * scale.astype(np.float32)).astype(scale.dtype)


def sparse_to_dense(nonzero_data: Array, mask: Array, shape: Array | None = None) -> Array:
    """The values where the mask is set, in row-major order, and zero elsewhere."""
    if shape is not None:
        sizes = _sizes(shape)
        if mask.size * 8 < prod(sizes):
            raise MalformedError("a sparse weight has too short a mask")
        mask = unpack(mask, 1, prod(sizes)).reshape(sizes)
    if int(mask.sum()) != nonzero_data.size:
        raise MalformedError("a sparse weight does not fit its mask")
    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[mask.astype(bool)] = nonzero_data.reshape(-1)
    return dense


def cast(source_val: Array, output_dtype: str) -> Array:
    """The same numbers in another type."""
    return source_val.astype({"fp16": np.float16, "fp32": np.float32}[output_dtype])


def lut_to_sparse(
    indices_mask: Array, indices_nonzero_data: Array, lut: Array, vector_axis: Array | None = None
) -> tuple[Array, Array]:
    """As :func:`lut_to_dense` of sparse indices: where values lie, longer for vectors, and these values."""
    indices = sparse_to_dense(indices_nonzero_data, indices_mask)
    dense = lut_to_dense(indices, lut, vector_axis=vector_axis)
    mask = indices_mask if vector_axis is None else indices_mask.repeat(lut.shape[-1], int(vector_axis))
    return mask, dense[mask.astype(bool)]


def sparse_blockwise_shift_scale(
    data_mask: Array, nonzero_data: Array, scale: Array, offset: Array | None = None
) -> tuple[Array, Array]:
    """As :func:`blockwise_shift_scale` of sparse numbers: where they lie, and what they become."""
    dense = blockwise_shift_scale(sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask.astype(bool)]


CONSTEXPR: dict[str, Callable[..., Any]] = {
    "constexpr_lut_to_dense": lut_to_dense,
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_sparse_to_dense": sparse_to_dense,
    "constexpr_cast": cast,
}
"""Decompression, by the name of the MIL operation."""

SPARSE_CONSTEXPR: dict[str, Callable[..., tuple[Array, Array]]] = {
    "constexpr_lut_to_sparse": lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise_shift_scale,
}
"""Decompression to two results, a mask and the numbers where it is set, which another operation unites."""


def _bits(entries: int) -> int:
    bits = entries.bit_length() - 1
    if bits not in (1, 2, 4, 6, 8) or entries != 1 << bits:
        raise MalformedError(f"a palettized weight has a table of {entries}")
    return bits


def _sizes(shape: Array) -> tuple[int, ...]:
    return tuple(int(size) for size in shape)


def _repeated(values: Array, axis: int, size: int) -> Array:
    if axis >= values.ndim or values.shape[axis] == 0 or size % values.shape[axis]:
        raise MalformedError("a compressed weight does not fit its blocks")
    return values.repeat(size // values.shape[axis], axis)
