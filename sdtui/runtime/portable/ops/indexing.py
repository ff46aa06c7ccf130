"""Elements chosen by indices that are computed."""

from __future__ import annotations

import torch
from torch import Tensor

from sdtui.runtime.portable.ops.registry import operation


@operation("gather")
def gather(
    x: Tensor,
    indices: Tensor,
    *,
    axis: int = 0,
    batch_dims: int = 0,
    validate_indices: bool = False,  # noqa: ARG001 - torch always checks them
) -> Tensor:
    """x with ``axis`` replaced by the axes of ``indices``; the first ``batch_dims`` go in parallel.

    Negative indices count from the end.
    """
    axis %= x.dim()
    wrapped = _wrapped(indices, x.shape[axis])
    if batch_dims == 0:
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return x.index_select(axis, wrapped.reshape(-1)).reshape(shape)
    batch = x.shape[:batch_dims]
    parts = [
        part.index_select(axis - batch_dims, index.reshape(-1))
        for part, index in zip(x.flatten(0, batch_dims - 1), wrapped.flatten(0, batch_dims - 1), strict=True)
    ]
    shape = (*x.shape[:axis], *indices.shape[batch_dims:], *x.shape[axis + 1 :])
    return torch.stack(parts).reshape((*batch, *shape[batch_dims:]))


@operation("gather_along_axis")
def gather_along_axis(
    x: Tensor,
    indices: Tensor,
    *,
    axis: int = 0,
    validate_indices: bool = False,  # noqa: ARG001 - torch always checks them
) -> Tensor:
    """One element for each index, along an axis."""
    return torch.gather(x, axis, _wrapped(indices, x.shape[axis]))


@operation("gather_nd")
def gather_nd(
    x: Tensor,
    indices: Tensor,
    *,
    batch_dims: int = 0,
    validate_indices: bool = False,  # noqa: ARG001 - torch always checks them
) -> Tensor:
    """The last axis of ``indices`` addresses the leading axes of x that follow the batch."""
    address = list(indices.long().unbind(-1))
    for axis in range(batch_dims):
        places = torch.arange(x.shape[axis], device=x.device)
        trailing = indices.dim() - 2 - axis
        address.insert(axis, places.reshape(-1, *(1,) * trailing))
    return x[tuple(address)]


@operation("scatter_nd")
def scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    *,
    mode: str = "add",
    validate_indices: bool = False,  # noqa: ARG001 - torch always checks them
) -> Tensor:
    """``data`` with the addressed elements replaced (``update``) or added to (``add``)."""
    if mode not in ("update", "add"):
        raise ValueError(f"the scatter mode {mode} is not supported")
    address = tuple(indices.long().unbind(-1))
    return data.clone().index_put_(address, updates.to(data.dtype), accumulate=mode == "add")


@operation("non_zero")
def non_zero(x: Tensor) -> Tensor:
    """Where x is not zero: (count, rank), int32."""
    return torch.nonzero(x).to(torch.int32)


@operation("one_hot")
def one_hot(
    indices: Tensor, *, one_hot_vector_size: int, axis: int = -1, on_value: float = 1, off_value: float = 0
) -> Tensor:
    """``on_value`` at the index, ``off_value`` elsewhere, along a new axis."""
    places = torch.arange(one_hot_vector_size, device=indices.device)
    return torch.where(indices.unsqueeze(-1) == places, on_value, off_value).movedim(-1, axis)


def _wrapped(indices: Tensor, size: int) -> Tensor:
    long = indices.long()
    return torch.where(long < 0, long + size, long)
