"""Padding, resizing and pooling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from tests.runtime.ops.single import as_torch, check, random, run


def test_pad_counts_from_the_last_axes_in_order(folder: Path) -> None:
    x = random(1, 2, 3, 4)
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
    x = random(1, 2, 4, 6)
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
    check(nearest, F.interpolate(as_torch(x), scale_factor=factor))
    size = [int(side * factor) for side in x.shape[2:]]
    check(corners, F.interpolate(as_torch(x), size, mode="bilinear", align_corners=True))
    check(centres, F.interpolate(as_torch(x), size, mode="bilinear", align_corners=False))


def test_resizing(folder: Path) -> None:
    x = random(1, 2, 4, 6)
    size = {"target_size_height": 7, "target_size_width": 5}
    nearest, bilinear = run(
        folder,
        lambda x: (
            mb.resize_nearest_neighbor(x=x, **size),
            mb.resize_bilinear(x=x, **size, sampling_mode="UNALIGN_CORNERS"),
        ),
        x,
    )
    check(nearest, F.interpolate(as_torch(x), size=(7, 5)))
    check(bilinear, F.interpolate(as_torch(x), size=(7, 5), mode="bilinear", align_corners=False))


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
    x = random(1, 2, 4, 6)
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
    check(linear, F.interpolate(as_torch(x), size=(7, 5), mode="bilinear", align_corners=False))
    check(narrow, F.interpolate(as_torch(x), size=(4, 3), mode="bilinear", align_corners=False))
    check(nearest, F.interpolate(as_torch(x), size=(4, 3)))


def test_pooling(folder: Path) -> None:
    x = random(1, 2, 6, 6)
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
    check(mean, F.avg_pool2d(as_torch(x), 3, 2, 1))
    check(inside, F.avg_pool2d(as_torch(x), 3, 2, 1, count_include_pad=False))
    check(largest, F.max_pool2d(as_torch(x), 3, 2, 1))
