"""Padding, scaling and pooling of spatial axes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable.ops.linear import last_axis_first, padding
from sdtui.runtime.portable.ops.registry import operation

Ints = tuple[int, ...]


@operation("pad")
def pad(x: Tensor, *, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """Before and after pairs for the last axes of x, first of them first."""
    sides = last_axis_first(pad)
    if mode == "constant":
        return F.pad(x, sides, value=constant_val)
    # torch pads only trailing axes in these modes, and counts the pairs.
    while len(sides) > 2 and sides[-2:] == [0, 0]:
        sides = sides[:-2]
    return F.pad(x, sides, mode={"reflect": "reflect", "replicate": "replicate"}[mode])


@operation("upsample_nearest_neighbor")
def upsample_nearest_neighbor(
    x: Tensor, *, scale_factor_height: float = 1, scale_factor_width: float = 1
) -> Tensor:
    """Height and width times a factor, rounded down; each result is the element below it."""
    return F.interpolate(x, size=_scaled(x, scale_factor_height, scale_factor_width), mode="nearest")


@operation("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    *,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Height and width times a factor, rounded down, interpolated."""
    if half_pixel_centers is not None and half_pixel_centers == align_corners:
        raise ValueError("this placement of pixel centres is not supported")
    size = _scaled(x, scale_factor_height, scale_factor_width)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


@operation("resize_nearest_neighbor")
def resize_nearest_neighbor(x: Tensor, *, target_size_height: int, target_size_width: int) -> Tensor:
    """Another height and width; each result is the element below it."""
    return F.interpolate(x, size=(target_size_height, target_size_width), mode="nearest")


@operation("resize_bilinear")
def resize_bilinear(
    x: Tensor, *, target_size_height: int, target_size_width: int, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Another height and width, interpolated."""
    corners = {"STRICT_ALIGN_CORNERS": True, "ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}
    if sampling_mode not in corners:
        raise ValueError(f"the sampling mode {sampling_mode} is not supported")
    size = (target_size_height, target_size_width)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=corners[sampling_mode])


@operation("avg_pool")
def avg_pool(
    x: Tensor,
    *,
    kernel_sizes: Ints,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints = (),
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """Mean of each window of the last two axes."""
    stride = strides or (1,) * len(kernel_sizes)
    sides = _symmetric(padding(pad_type, pad, x.shape[2:], kernel_sizes, stride, (1,) * len(kernel_sizes)))
    return F.avg_pool2d(x, kernel_sizes, stride, sides, ceil_mode, not exclude_padding_from_average)


@operation("max_pool")
def max_pool(
    x: Tensor,
    *,
    kernel_sizes: Ints,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints = (),
    ceil_mode: bool = False,
) -> Tensor:
    """Maximum of each window of the last two axes."""
    stride = strides or (1,) * len(kernel_sizes)
    sides = _symmetric(padding(pad_type, pad, x.shape[2:], kernel_sizes, stride, (1,) * len(kernel_sizes)))
    return F.max_pool2d(x, kernel_sizes, stride, sides, ceil_mode=ceil_mode)


@operation("pixel_shuffle")
def pixel_shuffle(x: Tensor, *, upscale_factor: int) -> Tensor:
    """Channels (C r r) become r times the height and width."""
    return F.pixel_shuffle(x, upscale_factor)


def _scaled(x: Tensor, height: float, width: float) -> tuple[int, int]:
    return int(x.shape[-2] * height), int(x.shape[-1] * width)


def _symmetric(pads: Ints) -> Ints:
    if pads[::2] != pads[1::2]:
        raise ValueError("pooling with a different padding on each side is not supported")
    return pads[::2]
