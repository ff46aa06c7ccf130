"""Arithmetic, activations, comparisons and casts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from tests.runtime.ops.single import as_torch, check, random, run


def test_arithmetic(folder: Path) -> None:
    x, y = random(2, 3), np.abs(random(3)) + 0.5
    results = run(
        folder,
        lambda x, y: (
            mb.add(x=x, y=y),
            mb.sub(x=x, y=y),
            mb.mul(x=x, y=2.0),
            mb.real_div(x=x, y=y),
            mb.pow(x=y, y=1.5),
            mb.floor_div(x=x, y=y),
            mb.maximum(x=x, y=y),
            mb.minimum(x=x, y=y),
            mb.rsqrt(x=y),
            mb.rsqrt(x=y, epsilon=0.25),
            mb.inverse(x=y, epsilon=0.25),
            mb.log(x=y),
            mb.clip(x=x, alpha=-0.5, beta=0.5),
            mb.square(x=x),
            mb.exp2(x=x),
            mb.leaky_relu(x=x, alpha=0.1),
        ),
        x,
        y,
    )
    expected = [
        x + y,
        x - y,
        x * 2,
        x / y,
        y**1.5,
        np.floor(x / y),
        np.maximum(x, y),
        np.minimum(x, y),
        1 / np.sqrt(y),
        1 / np.sqrt(y + 0.25),
        1 / (y + 0.25),
        np.log(y),
        np.clip(x, -0.5, 0.5),
        x**2,
        2**x,
        np.where(x > 0, x, 0.1 * x),
    ]
    for result, value in zip(results, expected, strict=True):
        check(result, value)


def test_activations(folder: Path) -> None:
    x = random(3, 4)
    results = run(
        folder,
        lambda x: (
            mb.gelu(x=x, mode="EXACT"),
            mb.gelu(x=x, mode="TANH_APPROXIMATION"),
            mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"),
            mb.silu(x=x),
            mb.sigmoid(x=x),
            mb.tanh(x=x),
            mb.relu(x=x),
            mb.erf(x=x),
        ),
        x,
    )
    t = as_torch(x)
    expected = [
        F.gelu(t),
        F.gelu(t, approximate="tanh"),
        t * torch.sigmoid(1.702 * t),
        F.silu(t),
        torch.sigmoid(t),
        torch.tanh(t),
        torch.relu(t),
        torch.erf(t),
    ]
    for result, value in zip(results, expected, strict=True):
        check(result, value)


def test_comparison_selection_and_casts(folder: Path) -> None:
    x = np.array([-2.7, -0.2, 0.0, 3.9], np.float32)
    whole, chosen, both, negative, places, back = run(
        folder,
        lambda x: (
            mb.cast(x=x, dtype="int32"),
            mb.select(cond=mb.greater_equal(x=x, y=0.0), a=x, b=-1.0),
            mb.cast(x=mb.logical_and(x=mb.less(x=x, y=3.0), y=mb.not_equal(x=x, y=0.0)), dtype="fp32"),
            mb.cast(x=mb.logical_not(x=mb.cast(x=x, dtype="bool")), dtype="int32"),
            mb.reduce_sum(x=mb.non_zero(x=mb.greater(x=x, y=-1.0)), axes=[0], keep_dims=False),
            mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"),
        ),
        x,
    )
    assert whole.tolist() == [-2, 0, 0, 3]
    check(chosen, np.where(x >= 0, x, -1))
    assert both.tolist() == [1, 1, 0, 0]
    assert negative.tolist() == [0, 0, 1, 0]
    assert places.tolist() == [1 + 2 + 3]
    assert back.dtype == np.float32
