"""Gathering and scattering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from tests.runtime.ops.single import check, random, run


def test_gather_takes_indices_of_any_rank(folder: Path) -> None:
    x, indices = random(5, 6), np.array([[0, 3], [5, 1], [2, -1]], np.int32)
    (result,) = run(folder, lambda x, i: mb.gather(x=x, indices=i, axis=1), x, indices)
    check(result, x[:, indices])


def test_gather_in_batches(folder: Path) -> None:
    x, indices = random(2, 5, 3), np.array([[0, 4, 1], [2, 2, 3]], np.int32)
    (result,) = run(folder, lambda x, i: mb.gather(x=x, indices=i, axis=1, batch_dims=1), x, indices)
    check(result, np.stack([x[0][indices[0]], x[1][indices[1]]]))


def test_gather_and_scatter_by_address(folder: Path) -> None:
    x, places = random(3, 4, 2), np.array([[0, 1], [2, 3]], np.int32)
    updates = random(2, 2)
    along = np.array([[[0, 1]], [[1, 0]], [[1, 1]]], np.int32)
    results = run(
        folder,
        lambda x, i, u, along: (
            mb.gather_nd(x=x, indices=i),
            mb.scatter_nd(data=x, indices=i, updates=u, mode="update"),
            mb.scatter_nd(data=x, indices=i, updates=u, mode="add"),
            mb.gather_along_axis(x=x, indices=along, axis=1),
        ),
        x,
        places,
        updates,
        along,
    )
    update, add = x.copy(), x.copy()
    update[[0, 2], [1, 3]] = updates
    add[[0, 2], [1, 3]] += updates
    check(results[0], x[[0, 2], [1, 3]])
    check(results[1], update)
    check(results[2], add)
    check(results[3], np.take_along_axis(x, along, 1))


def test_gather_by_address_in_batches(folder: Path) -> None:
    x, places = random(2, 4, 3), np.array([[[0], [3]], [[1], [1]]], np.int32)
    (result,) = run(folder, lambda x, i: mb.gather_nd(x=x, indices=i, batch_dims=1), x, places)
    check(result, np.stack([x[0][[0, 3]], x[1][[1, 1]]]))
