"""Padding, scaling and pooling of spatial axes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable.ops.linear import last_axis_first, padding
from sdtui.runtime.portable.ops.registry import operation

Ints = tuple[int, ...]

_PLANES = 4
"""Axes that torch itself scales the last two of."""


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
    x: Tensor, *, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Another height and width, interpolated."""
    return _bilinear(x, (target_size_height, target_size_width), sampling_mode)


@operation("resize")
def resize(
    x: Tensor,
    *,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """The last ``resized_dims`` axes, of which only the last two may change, as long as in ``shape``.

    A 0 there leaves an axis as long as it is.
    """
    wanted = (0,) * x.dim() + tuple(shape[len(shape) - resized_dims :])
    sizes = [size or kept for size, kept in zip(wanted[-x.dim() :], x.shape, strict=True)]
    if sizes[:-2] != list(x.shape[:-2]):
        raise ValueError("resizing more than two axes is not supported")
    if interpolation_mode == "LINEAR":
        return _bilinear(x, (sizes[-2], sizes[-1]), sampling_mode)
    if sampling_mode != "DEFAULT":
        raise ValueError(f"the nearest neighbours of {sampling_mode} are not supported")
    return resize_nearest_neighbor(x, target_size_height=sizes[-2], target_size_width=sizes[-1])


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


def _bilinear(x: Tensor, size: tuple[int, int], sampling_mode: str) -> Tensor:
    if sampling_mode == "UNALIGN_CORNERS" and x.dim() == _PLANES:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    for axis, target in ((-2, size[0]), (-1, size[1])):
        place = _places(x.shape[axis], target, sampling_mode).to(x.device)
        below = place.floor().long()
        above = (below + 1).clamp(max=x.shape[axis] - 1)
        share = (place - below).to(x.dtype)
        share = share[:, None] if axis == -2 else share
        x = torch.lerp(x.index_select(axis, below), x.index_select(axis, above), share)
    return x


def _places(source: int, target: int, sampling_mode: str) -> Tensor:
    """Where on an axis of ``source`` elements each of ``target`` is taken from, between 0 and source - 1.

    https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html, at
    ``resize_bilinear``.
    """
    index = torch.arange(target, dtype=torch.float64)
    if sampling_mode == "UNALIGN_CORNERS":
        place = (index + 0.5) * source / target - 0.5
    elif sampling_mode == "OFFSET_CORNERS":
        place = (index + 0.5) * max(1, source - 1) / target
    elif sampling_mode == "DEFAULT":
        place = index * source / target
    elif sampling_mode == "ALIGN_CORNERS" and target == 1:
        place = index + (source - 1) / 2
    elif sampling_mode in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        place = index * (source - 1) / max(1, target - 1)
    else:
        raise ValueError(f"the sampling mode {sampling_mode} is not supported")
    return place.clamp(0, source - 1)


def _scaled(x: Tensor, height: float, width: float) -> tuple[int, int]:
    return int(x.shape[-2] * height), int(x.shape[-1] * width)


def _symmetric(pads: Ints) -> Ints:
    if pads[::2] != pads[1::2]:
        raise ValueError("pooling with a different padding on each side is not supported")
    return pads[::2]
