"""Norms, softmax and reductions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from tests.runtime.ops.single import as_torch, check, random, run


def test_batch_norm_applies_its_epsilon(folder: Path) -> None:
    x, gamma, beta = random(2, 3, 4, 4), random(3), random(3)
    mean, variance = random(3), np.ones(3, np.float32)
    (result,) = run(
        folder,
        lambda x: mb.batch_norm(x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=0.5),
        x,
    )
    shape = (3, 1, 1)
    check(result, (x - mean.reshape(shape)) / np.sqrt(1.5) * gamma.reshape(shape) + beta.reshape(shape))


@pytest.mark.parametrize("axes", [[-1], [1], [1, 3]])
def test_layer_norm_over_any_axes(folder: Path, axes: list[int]) -> None:
    x = random(2, 6, 1, 5)
    shape = [x.shape[axis] for axis in axes]
    gamma, beta = random(*shape), random(*shape)
    (result,) = run(folder, lambda x: mb.layer_norm(x=x, axes=axes, gamma=gamma, beta=beta, epsilon=1e-3), x)
    places = [x.shape[axis] if axis in [a % 4 for a in axes] else 1 for axis in range(4)]
    mean, variance = x.mean(tuple(axes), keepdims=True), x.var(tuple(axes), keepdims=True)
    normal = (x - mean) / np.sqrt(variance + 1e-3)
    check(result, normal * gamma.reshape(places) + beta.reshape(places))


def test_layer_norm_without_gamma(folder: Path) -> None:
    x = random(2, 6)
    (result,) = run(folder, lambda x: mb.layer_norm(x=x, axes=[1], epsilon=1e-5), x)
    check(result, F.layer_norm(as_torch(x), (6,)))


def test_instance_and_l2_norm(folder: Path) -> None:
    x, gamma, beta = random(1, 3, 4, 5), random(3), random(3)
    instance, l2 = run(
        folder,
        lambda x: (
            mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=1e-5),
            mb.l2_norm(x=x, epsilon=1e-6),
        ),
        x,
    )
    check(instance, F.instance_norm(as_torch(x), None, None, as_torch(gamma), as_torch(beta)))
    check(l2, x / np.sqrt((x**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-6))


def test_reductions(folder: Path) -> None:
    x = random(2, 3, 4)
    results = run(
        folder,
        lambda x: (
            mb.reduce_mean(x=x, axes=[-1], keep_dims=True),
            mb.reduce_sum(x=x, axes=[0, 2], keep_dims=False),
            mb.reduce_max(x=x, axes=[1], keep_dims=True),
            mb.reduce_min(x=x, axes=[1], keep_dims=False),
            mb.reduce_l2_norm(x=x, axes=[1], keep_dims=True),
            mb.reduce_sum_square(x=x, axes=[1], keep_dims=True),
        ),
        x,
    )
    for result, expected in zip(
        results,
        (
            x.mean(-1, keepdims=True),
            x.sum((0, 2)),
            x.max(1, keepdims=True),
            x.min(1),
            np.sqrt((x**2).sum(1, keepdims=True)),
            (x**2).sum(1, keepdims=True),
        ),
        strict=True,
    ):
        check(result, expected)


def test_argmax_takes_the_first_of_equals(folder: Path) -> None:
    x = np.array([[1, 7, 7, 0], [5, 5, 5, 5]], np.float32)
    first, kept = run(
        folder,
        lambda x: (
            mb.reduce_argmax(x=x, axis=-1, keep_dims=False),
            mb.reduce_argmax(x=x, axis=0, keep_dims=True),
        ),
        x,
    )
    assert first.dtype == np.int32
    assert first.tolist() == [1, 0]
    assert kept.tolist() == [[1, 0, 0, 1]]


@pytest.mark.parametrize("axis", [1, -1])
def test_softmax(folder: Path, axis: int) -> None:
    x = random(2, 5, 1, 3) * 20
    (result,) = run(folder, lambda x: mb.softmax(x=x, axis=axis), x)
    check(result, torch.softmax(as_torch(x), axis))
