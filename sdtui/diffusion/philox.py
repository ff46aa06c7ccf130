"""Philox 4x32-10, the generator of NVIDIA's GPUs, and what ``torch.randn`` makes of it there.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3: a
function of a counter and a key, without a state, so that every number can be drawn by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""32-bit words, each in 64 bits so that products have room."""

_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ROUNDS = 10


def philox(counters: Words, key: Words) -> Words:
    """Four random words of each of N counters: (4, N) and a key (2,) -> (4, N)."""
    even, odd = counters[[0, 2]], counters[[1, 3]]
    for _ in range(_ROUNDS):
        products = even * _MULTIPLIERS
        high, low = products >> _HALF, products & _WORD
        even, odd = high[::-1] ^ odd ^ key[:, None], low[::-1]
        key = (key + _WEYL) & _WORD
    return np.stack([even[0], odd[0], even[1], odd[1]])


def cuda_randn(seed: int, call: int, count: int) -> NDArray[np.float32]:
    """The ``count`` normal numbers of ``torch.randn`` on a GPU, in its ``call`` after the seeding.

    Every number has a thread to itself, which holds for latents: a GPU has 40,000 threads and more.
    The thread is the counter's upper half and the call its lower; of the four words the first two
    become one number (Box and Muller 1958, as cuRAND computes it). The GPU does so in float32 with
    approximate sines, this in float64: they agree to about 1e-6.
    """
    counters = np.zeros((4, count), np.uint64)
    counters[0] = call
    counters[2] = np.arange(count, dtype=np.uint64)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64)
    radius, angle = (philox(counters, key)[:2] + 0.5) / 2**32
    numbers: NDArray[np.float64] = np.sqrt(-2 * np.log(radius)) * np.sin(2 * math.pi * angle)
    return numbers.astype(np.float32)
