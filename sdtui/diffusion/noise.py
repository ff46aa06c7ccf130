"""Seeded randomness, the same numbers that other tools draw for the same seed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

from sdtui.diffusion.philox import cuda_randn
from sdtui.request import RandomSource


class Noise:
    """The random numbers of one picture, one stream in the order in which they are drawn.

    ``torch`` draws what ``torch.randn`` draws on a CPU (diffusers' pipelines), ``numpy`` what
    ``numpy.random.RandomState.randn`` draws (Apple's pipeline), ``nvidia`` what ``torch.randn`` draws
    on an NVIDIA GPU.
    """

    def __init__(self, seed: int, source: RandomSource) -> None:
        self._seed = seed
        self._source = source
        self._generator = Generator("cpu")
        self._generator.manual_seed(seed)
        self._state = np.random.RandomState(seed)
        self._calls = 0

    def draw(self, shape: Sequence[int]) -> Tensor:
        """The next standard normal numbers: float32 of ``shape``."""
        match self._source:
            case "torch":
                return torch.randn(*shape, generator=self._generator, dtype=torch.float32)
            case "numpy":
                return torch.from_numpy(self._state.randn(*shape).astype(np.float32))
            case "nvidia":
                drawn = cuda_randn(self._seed, self._calls, math.prod(shape))
                self._calls += 1
                return torch.from_numpy(drawn.reshape(shape))

    def generator(self) -> Generator:
        """Where schedulers that add noise at every step take it from, after all that is drawn here.

        The torch stream goes on in it, as in diffusers. From the numpy stream it is seeded: the same
        seed in both would give the same Mersenne twister, and noise that is not independent of the
        latents. The nvidia stream goes on in it inside :meth:`stepping`.
        """
        if self._source == "numpy":
            self._generator.manual_seed(int(self._state.randint(2**32, dtype=np.uint64)))
        return self._generator

    @contextlib.contextmanager
    def stepping(self) -> Iterator[None]:
        """While a scheduler steps: what it draws from the generator is of this stream.

        torch has no generator that a GPU's numbers could be put into, so its calls are answered here.
        """
        if self._source != "nvidia":
            yield
            return
        with _Answering(self._generator, self.draw):
            yield


class _Answering(TorchFunctionMode):
    """``torch.randn`` with this generator gives what ``draw`` draws."""

    def __init__(self, generator: Generator, draw: Callable[[Sequence[int]], Tensor]) -> None:
        super().__init__()
        self._mine = generator
        self._draw = draw

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn and kwargs.get("generator") is self._mine:
            shape = args[0] if len(args) == 1 and isinstance(args[0], Sequence) else args
            return self._draw(shape).to(kwargs.get("dtype") or torch.float32)
        return func(*args, **kwargs)
