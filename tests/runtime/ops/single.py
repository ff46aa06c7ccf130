"""Programs of a few operations: built, run and compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdtui.runtime import Array
from sdtui.runtime.portable.network import PortableNetwork
from tests.runtime.programs import save_program

_numbers = np.random.default_rng(3)
_counter = itertools.count()


def random(*shape: int) -> Array:
    return _numbers.standard_normal(shape).astype(np.float32)


def as_torch(array: Array) -> torch.Tensor:
    return torch.from_numpy(array)


def run(folder: Path, build: Callable[..., Any], *inputs: Array, target: str = "iOS16") -> list[Array]:
    """Build a program, save it, and run it in fp32, by torch; OpenVINO gives the same where it knows it."""
    path = save_program(folder / f"{next(_counter)}.mlpackage", build, *inputs, target=target)
    network = PortableNetwork(path, "cpu-only", "fp32")
    given = dict(zip(network.inputs, inputs, strict=True))
    results = list(network.predict(given).values())
    other = PortableNetwork(path, "cpu-only", "fp32", executor="openvino")
    for ours, theirs in zip(results, other.predict(given).values(), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)
    return results


def check(result: Array, expected: Any) -> None:
    expected = np.asarray(expected)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)
