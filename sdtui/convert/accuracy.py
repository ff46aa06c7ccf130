"""How close a converted network is to the torch module that it was made from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sdtui.convert.source import Source
from sdtui.request import Precision
from sdtui.runtime import Array
from sdtui.runtime.chained import ChainedNetwork
from sdtui.runtime.network import Network
from sdtui.runtime.portable.network import PortableNetwork


def psnr(reference: Array, measured: Array) -> float:
    """Peak signal-to-noise ratio in dB: 20 log10(max|reference| / rms error), inf where equal.

    Where there should be nothing but zeros, anything else is -inf, and so is what is no number.
    """
    peak = np.abs(reference).max()
    error = np.sqrt(np.mean(np.square(reference.astype(np.float64) - measured)))
    if not error:
        return math.inf
    return 20 * math.log10(peak / error) if peak and np.isfinite(error) else -math.inf


def measure(
    source: Source,
    package: Path,
    precision: Precision = "fp32",
    *,
    second_half: Path | None = None,
    function: str | None = None,
    on_probe: Callable[[float], None] = lambda _: None,
) -> float:
    """The lowest PSNR in dB over all probes and outputs of ``package`` on the portable runtime.

    ``second_half`` continues the package where the network is cut in two; ``function`` is the one to
    run of several. ``on_probe`` hears which part of the work is done. Weights are read as they are
    needed, so that a network is measured that memory would not hold.
    """
    steps = 2 * len(source.probes)
    references = []
    for probe in source.probes:
        references.append(source.predict(probe))
        source.release()
        on_probe(len(references) / steps)
    network: Network = PortableNetwork(package, "cpu-only", precision, function, streamed=True)
    if second_half is not None:
        network = ChainedNetwork(
            network, PortableNetwork(second_half, "cpu-only", precision, function, streamed=True)
        )
    try:
        ratios = []
        for done, (probe, reference) in enumerate(zip(source.probes, references, strict=True), 1):
            measured = network.predict(probe)
            ratios += [psnr(reference[name], measured[name]) for name in source.outputs]
            on_probe((len(references) + done) / steps)
        return min(ratios)
    finally:
        network.close()
