"""Programs of a few operations: built, run and compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdtui.runtime import Array, load_network
from tests.runtime.programs import save_program

_numbers = np.random.default_rng(3)
_counter = itertools.count()


def random(*shape: int) -> Array:
    return _numbers.standard_normal(shape).astype(np.float32)


def as_torch(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)


def run(folder: Path, build: Callable[..., Any], *inputs: Array, target: str = "iOS16") -> list[Array]:
    """Build a program, save it, and run it in fp32."""
    path = save_program(folder / f"{next(_counter)}.mlpackage", build, *inputs, target=target)
    network = load_network(path, precision="fp32")
    return list(network.predict(dict(zip(network.inputs, inputs, strict=True))).values())


def check(result: Array, expected: Any) -> None:
    expected = np.asarray(expected)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)
