"""How loud an error is: squared error over the squared peak of what it is an error of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from sdtui.runtime import Array

Outputs = Mapping[str, Array]

BROKEN = 1e12
"""The noise of an answer that is not finite: louder than any other, and a number in JSON."""


def relative_noise(reference: Outputs, measured: Outputs) -> float:
    """Mean squared error over the squared peak; of several outputs the worst.

    Errors of different causes add up in this measure; its logarithm is the PSNR.
    """
    return max(_noise(reference[name], measured[name]) for name in reference)


def mean(noises: Iterable[float]) -> float:
    """The noise over several samples."""
    return float(np.mean(list(noises)))


def decibels(noise: float) -> float:
    """The PSNR of a relative noise: inf for none."""
    if noise <= 0:
        return math.inf
    return -10 * math.log10(noise)


def from_decibels(psnr: float) -> float:
    """The relative noise of a PSNR."""
    return float(10 ** (-psnr / 10))


def _noise(reference: Array, measured: Array) -> float:
    error = float(np.mean(np.square(reference.astype(np.float64) - measured)))
    peak = float(np.abs(reference).max())
    if not error:
        return 0.0
    return min(BROKEN, error / peak**2) if peak and math.isfinite(error) else BROKEN
