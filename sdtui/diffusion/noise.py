"""Seeded randomness, the same numbers that other tools draw for the same seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from sdtui.request import RandomSource


class Noise:
    """The random numbers of one picture.

    ``torch`` draws what ``torch.randn`` draws on a CPU (diffusers' pipelines), ``numpy`` what
    ``numpy.random.RandomState.randn`` draws (Apple's pipeline). Schedulers that add noise at every
    step take it from ``generator``: the torch stream goes on in it, as in diffusers; from the numpy
    stream it is seeded after the latents are drawn, since the same seed in both would give the same
    Mersenne twister, and noise that is not independent of the latents.
    """

    def __init__(self, seed: int, source: RandomSource, shape: tuple[int, ...]) -> None:
        self.latents: Tensor
        """Standard normal, float32, of ``shape`` (1, C, h, w)."""
        self.generator = Generator("cpu")
        if source == "torch":
            self.generator.manual_seed(seed)
            self.latents = torch.randn(shape, generator=self.generator, dtype=torch.float32)
        else:
            state = np.random.RandomState(seed)
            self.latents = torch.from_numpy(state.randn(*shape).astype(np.float32))
            self.generator.manual_seed(int(state.randint(2**32, dtype=np.uint64)))
