"""Tiny networks with random weights, converted once for all tests of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.runtime.networks import Sample, convert, make_sample


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Sample]:
    """A tiny network of this name in torch; made once."""
    return cache(make_sample)


@pytest.fixture(scope="session")
def converted(
    sample: Callable[[str], Sample], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """The package of a tiny network, converted for a target in fp16 or fp32; made once."""
    folder = tmp_path_factory.mktemp("networks")

    def get(name: str, precision: str = "fp32", target: str = "macOS13") -> Path:
        path = folder / f"{name}-{precision}-{target}.mlpackage"
        return path if path.exists() else convert(sample(name), path, precision, target)

    return get


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other cost networks this small more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
