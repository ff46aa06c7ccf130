"""Reductions. Sums and means of half precision come out in fp32, so that statistics keep their digits."""

from __future__ import annotations

import torch
from torch import Tensor

from sdtui.runtime.portable.ops.registry import operation

Axes = tuple[int, ...]


@operation("reduce_mean")
def reduce_mean(x: Tensor, *, axes: Axes = (), keep_dims: bool = False) -> Tensor:
    """Mean over some axes, all by default."""
    return x.mean(_axes(x, axes), keepdim=keep_dims, dtype=torch.float32)


@operation("reduce_sum")
def reduce_sum(x: Tensor, *, axes: Axes = (), keep_dims: bool = False) -> Tensor:
    """Sum over some axes, all by default."""
    kind = torch.float32 if x.is_floating_point() else torch.int32
    return x.sum(_axes(x, axes), keepdim=keep_dims, dtype=kind)


@operation("reduce_sum_square")
def reduce_sum_square(x: Tensor, *, axes: Axes = (), keep_dims: bool = False) -> Tensor:
    """Sum of squares over some axes, all by default."""
    return x.float().square().sum(_axes(x, axes), keepdim=keep_dims)


@operation("reduce_l2_norm")
def reduce_l2_norm(x: Tensor, *, axes: Axes = (), keep_dims: bool = False) -> Tensor:
    """Square root of the sum of squares over some axes, all by default."""
    return torch.sqrt(reduce_sum_square(x, axes=axes, keep_dims=keep_dims))


@operation("reduce_max")
def reduce_max(x: Tensor, *, axes: Axes = (), keep_dims: bool = False) -> Tensor:
    """Maximum over some axes, all by default."""
    return x.amax(_axes(x, axes), keepdim=keep_dims)


@operation("reduce_min")
def reduce_min(x: Tensor, *, axes: Axes = (), keep_dims: bool = False) -> Tensor:
    """Minimum over some axes, all by default."""
    return x.amin(_axes(x, axes), keepdim=keep_dims)


@operation("reduce_argmax")
def reduce_argmax(
    x: Tensor,
    *,
    axis: int = -1,
    keep_dims: bool = False,
    output_dtype: str = "int32",  # noqa: ARG001 - the same number in every integer type
) -> Tensor:
    """Index of the first maximum along an axis."""
    # argmax of torch may return any of several equal maxima for bool and for some integer types.
    largest = x.amax(axis, keepdim=True)
    return (x == largest).to(torch.int8).argmax(axis, keepdim=keep_dims).to(torch.int32)


def _axes(x: Tensor, axes: Axes) -> Axes:
    return axes or tuple(range(x.dim()))
