"""Matrix products and convolutions: where most of the arithmetic is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable.ops.registry import operation

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "": lambda x: x,
    "relu": torch.relu_,
    "silu": partial(F.silu, inplace=True),
    "gelu": F.gelu,
}
"""What fusion may put behind a layer, of which nobody else reads the result."""
_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@operation("linear", multiplies=True)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str = "") -> Tensor:
    """x (..., I) times weight (O, I) transposed, plus bias (O). Fusion sets the activation."""
    return ACTIVATIONS[activation](F.linear(x, weight, bias))


@operation("matmul", multiplies=True)
def matmul(x: Tensor, y: Tensor, *, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Matrix product over the last two axes, batches broadcast."""
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


@operation("einsum", multiplies=True)
def einsum(*values: Tensor, equation: str) -> Tensor:
    """Einstein summation, operands in the order in which they are stored."""
    return torch.einsum(equation, *values)


@operation("conv", multiplies=True)
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: tuple[int, ...] = (),
    pad_type: str = "valid",
    pad: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    groups: int = 1,
    activation: str = "",
) -> Tensor:
    """Convolution of x (N, I, *spatial) with weight (O, I / groups, *kernel). Fusion sets the activation."""
    spatial = weight.dim() - 2
    stride = strides or (1,) * spatial
    dilation = dilations or (1,) * spatial
    pads = padding(pad_type, pad, x.shape[2:], weight.shape[2:], stride, dilation)
    before, after = pads[::2], pads[1::2]
    if before != after:
        x = F.pad(x, last_axis_first(pads))
        before = (0,) * spatial
    return ACTIVATIONS[activation](_CONV[spatial](x, weight, bias, stride, before, dilation, groups))


@operation("conv_transpose", multiplies=True)
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: tuple[int, ...] = (),
    pad_type: str = "valid",
    pad: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    groups: int = 1,
    output_shape: tuple[int, ...] = (),
) -> Tensor:
    """Transposed convolution of x (N, I, *spatial) with weight (I, O / groups, *kernel).

    The padding is cut off from the full result; ``output_shape`` decides the size where it is given.
    """
    spatial = weight.dim() - 2
    stride = strides or (1,) * spatial
    dilation = dilations or (1,) * spatial
    full = _CONV_TRANSPOSE[spatial](x, weight, None, stride, (0,) * spatial, (0,) * spatial, groups, dilation)
    if pad_type == "custom":
        pads = pad
    elif pad_type == "valid":
        pads = (0,) * (2 * spatial)
    else:
        extra = [
            max((k - 1) * d + 1 - s, 0) for k, s, d in zip(weight.shape[2:], stride, dilation, strict=True)
        ]
        pads = _halves(extra, pad_type)
    for axis in range(spatial):
        size = full.shape[2 + axis] - pads[2 * axis] - pads[2 * axis + 1]
        wanted = output_shape[-spatial + axis] if output_shape else size
        missing = pads[2 * axis] + wanted - full.shape[2 + axis]
        if missing > 0:
            full = F.pad(full, (0, 0) * (spatial - 1 - axis) + (0, missing))
        full = full.narrow(2 + axis, pads[2 * axis], wanted)
    return full if bias is None else full + bias.view(-1, *(1,) * spatial)


def padding(
    pad_type: str,
    pad: tuple[int, ...],
    size: torch.Size,
    kernel: tuple[int, ...] | torch.Size,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """Padding before and after each spatial axis, first axis first.

    ``same`` gives ceil(size / stride) results; an odd one goes after (``same_lower``: before).
    """
    if pad_type == "custom":
        return pad
    if pad_type == "valid":
        return (0,) * (2 * len(kernel))
    total = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    return _halves(total, pad_type)


def _halves(total: list[int], pad_type: str) -> tuple[int, ...]:
    pairs = [(n // 2, n - n // 2) for n in total]
    if pad_type == "same_lower":
        pairs = [(after, before) for before, after in pairs]
    return tuple(side for pair in pairs for side in pair)


def last_axis_first(pads: tuple[int, ...]) -> list[int]:
    """MIL's padding, first axis first, in the order of ``torch.nn.functional.pad``."""
    return [side for axis in range(len(pads) - 2, -1, -2) for side in pads[axis : axis + 2]]
