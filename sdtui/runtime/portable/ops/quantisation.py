"""Values rounded to small integers and back: what a W8A8 network does before each product."""

from __future__ import annotations

import torch
from torch import Tensor

from sdtui.runtime.portable.ops.registry import operation

_DTYPES = {"int8": torch.int8, "uint8": torch.uint8}


@operation("quantize")
def quantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    output_dtype: str,
    axis: int | None = None,
) -> Tensor:
    """round(input / scale) + zero_point, ties to even, kept within the type.

    ``scale`` and ``zero_point`` are scalars, or vectors along ``axis``.
    """
    dtype = _DTYPES[output_dtype]
    rounded = (input.float() / _along(scale, input, axis)).round()
    if zero_point is not None:
        rounded = rounded + _along(zero_point, input, axis)
    limits = torch.iinfo(dtype)
    return rounded.clamp(limits.min, limits.max).to(dtype)


@operation("dequantize")
def dequantize(
    input: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int | None = None
) -> Tensor:
    """scale (input - zero_point), the two of them scalars or vectors along ``axis``."""
    shifted = input.float()
    if zero_point is not None:
        shifted = shifted - _along(zero_point, input, axis)
    return shifted * _along(scale, input, axis)


def _along(values: Tensor, like: Tensor, axis: int | None) -> Tensor:
    if values.dim() == 0 or axis is None:
        return values.float()
    return values.float().view([-1 if place == axis % like.dim() else 1 for place in range(like.dim())])
