"""The same elements in another arrangement."""

from __future__ import annotations

import torch
from torch import Tensor

from sdtui.runtime.portable.ops.registry import operation

Ints = tuple[int, ...]


@operation("reshape")
def reshape(x: Tensor, *, shape: Ints) -> Tensor:
    """A new shape, in which 0 copies the size of that axis and -1 is inferred."""
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


@operation("transpose")
def transpose(x: Tensor, *, perm: Ints) -> Tensor:
    """Axes in a new order."""
    return x.permute(perm)


@operation("expand_dims")
def expand_dims(x: Tensor, *, axes: Ints) -> Tensor:
    """Axes of size one, at these places of the result."""
    rank = x.dim() + len(axes)
    places = sorted(axis % rank for axis in axes)
    for axis in places:
        x = x.unsqueeze(axis)
    return x


@operation("squeeze")
def squeeze(x: Tensor, *, axes: Ints | None = None) -> Tensor:
    """Without these axes of size one, or without any of size one."""
    return x.squeeze() if axes is None else x.squeeze(axes)


@operation("concat")
def concat(*values: Tensor, axis: int, interleave: bool = False) -> Tensor:
    """Joined along an axis; scalars count as vectors of one. Interleaved takes elements in turn."""
    parts = [value.reshape(1) if value.dim() == 0 else value for value in values]
    if interleave:
        joined = torch.stack(parts, axis % parts[0].dim() + 1)
        return joined.flatten(axis % parts[0].dim(), axis % parts[0].dim() + 1)
    if all(part.dim() > 2 and part.stride(1) == 1 for part in parts):
        # torch sees that channels lie innermost only where no axis has size 1.
        last = [part.movedim(1, -1) for part in parts]
        return torch.cat(last, _with_channels_last(axis % parts[0].dim())).movedim(-1, 1)
    return torch.cat(parts, axis)


def _with_channels_last(axis: int) -> int:
    """Where an axis is after axis 1 has become the last."""
    return axis if axis == 0 else -1 if axis == 1 else axis - 1


@operation("stack")
def stack(*values: Tensor, axis: int) -> Tensor:
    """Joined along a new axis."""
    return torch.stack(values, axis)


@operation("split")
def split(
    x: Tensor, *, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None
) -> tuple[Tensor, ...]:
    """Parts along an axis: of these sizes, or so many of equal size."""
    if split_sizes is not None:
        return torch.split(x, list(split_sizes), axis)
    if not num_splits or x.shape[axis] % num_splits:
        raise ValueError(f"{x.shape[axis]} cannot be split into {num_splits} equal parts")
    return torch.split(x, x.shape[axis] // num_splits, axis)


@operation("slice_by_index")
def slice_by_index(
    x: Tensor,
    *,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: tuple[bool, ...] | None = None,
    end_mask: tuple[bool, ...] | None = None,
    squeeze_mask: tuple[bool, ...] | None = None,
) -> Tensor:
    """``x[begin:end:stride]`` on each axis, as numpy has it.

    A mask that is set leaves out that bound; ``squeeze_mask`` takes the one element at ``begin``.
    """
    no_mask = (False,) * x.dim()
    squeezed = squeeze_mask or no_mask
    for axis, (first, last, step, no_first, no_last, one) in enumerate(
        zip(
            begin,
            end,
            stride or (1,) * x.dim(),
            begin_mask or no_mask,
            end_mask or no_mask,
            squeezed,
            strict=True,
        )
    ):
        size = x.shape[axis]
        if one:
            start = 0 if no_first else first
            x = x.narrow(axis, start % size, 1)
            continue
        bounds = slice(None if no_first else first, None if no_last else last, step)
        start, stop, step = bounds.indices(size)
        if step == 1:
            x = x.narrow(axis, start, max(stop - start, 0))
        elif step > 0:
            x = x[(slice(None),) * axis + (slice(start, stop, step),)]
        else:
            x = x.index_select(axis, torch.arange(start, stop, step, device=x.device))
    return x.squeeze(tuple(axis for axis, one in enumerate(squeezed) if one)) if any(squeezed) else x


@operation("slice_by_size")
def slice_by_size(x: Tensor, *, begin: Ints, size: Ints) -> Tensor:
    """``size`` elements from ``begin`` on each axis; size -1 takes all that follow."""
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        start = first % x.shape[axis] if first < 0 else first
        x = x.narrow(axis, start, x.shape[axis] - start if count == -1 else count)
    return x


@operation("tile")
def tile(x: Tensor, *, reps: Ints) -> Tensor:
    """Repeated so often along each axis."""
    return x.repeat(reps)


@operation("reverse")
def reverse(x: Tensor, *, axes: Ints | None = None) -> Tensor:
    """In the opposite order along some axes, all by default."""
    return x.flip(tuple(range(x.dim())) if axes is None else axes)


@operation("shape")
def shape(x: Tensor) -> Tensor:
    """The sizes of x, int32."""
    return torch.tensor(x.shape, dtype=torch.int32, device=x.device)


@operation("fill")
def fill(*, shape: Ints, value: float | bool = 0.0) -> Tensor:
    """One value everywhere."""
    return torch.full(shape, value, dtype=None if isinstance(value, bool) else _type_of(value))


@operation("range_1d")
def range_1d(*, start: float, end: float, step: float) -> Tensor:
    """start, start + step, ... before end."""
    return torch.arange(start, end, step, dtype=_type_of(start))


def _type_of(number: float) -> torch.dtype:
    return torch.int32 if isinstance(number, int) else torch.float32
