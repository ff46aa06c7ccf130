"""Seeded randomness, the same numbers that other tools draw for the same seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from sdtui.request import RandomSource


class Noise:
    """The random numbers of one picture, one stream in the order in which they are drawn.

    ``torch`` draws what ``torch.randn`` draws on a CPU (diffusers' pipelines), ``numpy`` what
    ``numpy.random.RandomState.randn`` draws (Apple's pipeline).
    """

    def __init__(self, seed: int, source: RandomSource) -> None:
        self._generator = Generator("cpu")
        self._generator.manual_seed(seed)
        self._state = None if source == "torch" else np.random.RandomState(seed)

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """The next standard normal numbers: float32 of ``shape``."""
        if self._state is None:
            return torch.randn(shape, generator=self._generator, dtype=torch.float32)
        return torch.from_numpy(self._state.randn(*shape).astype(np.float32))

    def generator(self) -> Generator:
        """Where schedulers that add noise at every step take it from, after all that is drawn here.

        The torch stream goes on in it, as in diffusers. From the numpy stream it is seeded: the same
        seed in both would give the same Mersenne twister, and noise that is not independent of the
        latents.
        """
        if self._state is not None:
            self._generator.manual_seed(int(self._state.randint(2**32, dtype=np.uint64)))
        return self._generator
