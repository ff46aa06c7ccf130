"""Shapes, slices, and what is known at loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from tests.runtime.ops.single import check, random, run


@pytest.mark.parametrize(
    ("shape", "expected"), [([6, 4], (6, 4)), ([0, -1, 2], (2, 6, 2)), ([-1], (24,)), ([4, 0, 2], (4, 3, 2))]
)
def test_reshape(folder: Path, shape: list[int], expected: tuple[int, ...]) -> None:
    x = random(2, 3, 4)
    (result,) = run(folder, lambda x: mb.reshape(x=x, shape=shape), x)
    check(result, x.reshape(expected))


def test_axes_come_and_go(folder: Path) -> None:
    x = random(2, 1, 3, 1)
    results = run(
        folder,
        lambda x: (
            mb.transpose(x=x, perm=[0, 2, -3, -1]),
            mb.expand_dims(x=x, axes=[-2]),
            mb.squeeze(x=x, axes=[1]),
            mb.squeeze(x=x),
            mb.tile(x=x, reps=[1, 2, 1, 3]),
            mb.reverse(x=x, axes=[2]),
        ),
        x,
    )
    for result, expected in zip(
        results,
        (
            x.transpose(0, 2, 1, 3),
            x[..., None, :],
            x[:, 0],
            x[:, 0, :, 0],
            np.tile(x, (1, 2, 1, 3)),
            x[:, :, ::-1],
        ),
        strict=True,
    ):
        check(result, expected)


def test_joining_and_splitting(folder: Path) -> None:
    x, y = random(2, 6), random(2, 6)
    results = run(
        folder,
        lambda x, y: (
            mb.concat(values=(x, y), axis=-1),
            mb.stack(values=(x, y), axis=1),
            *mb.split(x=x, num_splits=3, axis=1),
            *mb.split(x=x, split_sizes=[1, 5], axis=-1),
        ),
        x,
        y,
    )
    expected = [np.concatenate((x, y), -1), np.stack((x, y), 1), *np.split(x, 3, 1), x[:, :1], x[:, 1:]]
    for result, value in zip(results, expected, strict=True):
        check(result, value)


@pytest.mark.parametrize(
    ("arguments", "index"),
    [
        ({"begin": [0, 1, 2], "end": [2, 3, 5]}, np.s_[0:2, 1:3, 2:5]),
        ({"begin": [0, 0, -3], "end": [2, 3, -1]}, np.s_[:, :, -3:-1]),
        (
            {"begin": [1, 1, 1], "end": [1, 1, 1], "begin_mask": [True] * 3, "end_mask": [True] * 3},
            np.s_[:, :, :],
        ),
        (
            {"begin": [0, 1, 0], "end": [1, 1, 1], "end_mask": [True, True, True], "stride": [1, 1, 2]},
            np.s_[:, 1:, ::2],
        ),
        (
            {
                "begin": [-1, 0, 3],
                "end": [0, 1, 1],
                "end_mask": [False, True, False],
                "squeeze_mask": [True, False, True],
            },
            np.s_[-1, :, 3],
        ),
        (
            {"begin": [0, 2, 4], "end": [2, 0, 0], "stride": [1, -1, -2], "end_mask": [True, False, True]},
            np.s_[:, 2:0:-1, 4::-2],
        ),
    ],
)
def test_slice_by_index(folder: Path, arguments: dict[str, Any], index: Any) -> None:
    x = random(2, 3, 5)
    (result,) = run(folder, lambda x: mb.slice_by_index(x=x, **arguments), x)
    check(result, x[index])


def test_slice_by_size(folder: Path) -> None:
    x = random(4, 5)
    (result,) = run(folder, lambda x: mb.slice_by_size(x=x, begin=[1, 2], size=[2, -1]), x)
    check(result, x[1:3, 2:])


def test_what_is_constant_is_computed_at_loading(folder: Path) -> None:
    x = random(6)
    half, ones, range_, hot = run(
        folder,
        lambda x: (
            mb.reshape(x=x, shape=mb.concat(values=(mb.const(val=[2]), mb.const(val=[3])), axis=0)),
            mb.mul(x=x, y=mb.fill(shape=[6], value=2.0)),
            mb.mul(x=x, y=mb.range_1d(start=0.0, end=6.0, step=1.0)),
            mb.one_hot(indices=[2, 0], one_hot_vector_size=3),
        ),
        x,
    )
    check(half, x.reshape(2, 3))
    check(ones, x * 2)
    check(range_, x * np.arange(6, dtype=np.float32))
    assert hot.tolist() == [[0, 0, 1], [1, 0, 0]]
