"""How close a converted network is to the torch module that it was made from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from sdtui.convert.source import Source
from sdtui.request import Precision
from sdtui.runtime import Array, load_network


def psnr(reference: Array, measured: Array) -> float:
    """Peak signal-to-noise ratio in dB: 20 log10(max|reference| / rms error), inf where equal."""
    error = np.sqrt(np.mean(np.square(reference.astype(np.float64) - measured)))
    if not np.isfinite(error):
        return -math.inf
    return 20 * math.log10(np.abs(reference).max() / error) if error else math.inf


def measure(source: Source, package: Path, precision: Precision = "fp32") -> float:
    """The lowest PSNR in dB over all probes and outputs of ``package`` on the portable runtime."""
    network = load_network(package, compute_units="cpu-only", precision=precision)
    try:
        ratios = []
        for probe in source.probes:
            reference, measured = source.predict(probe), network.predict(probe)
            ratios += [psnr(reference[name], measured[name]) for name in source.outputs]
        return min(ratios)
    finally:
        network.close()
