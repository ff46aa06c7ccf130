"""What a conversion will take: memory, disk and time, worked out before it starts.

The model is simple on purpose: passes over a program take time by its operations, arithmetic takes
time by its floating-point operations at the speed that this machine shows, storing takes time by the
weights. Its constants were fitted to conversions of SD 1.5 and SDXL (the figures are in the README).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import psutil

from sdtui.conversion import ConversionRequest, Forecast, NetworkForecast
from sdtui.convert.plan import NetworkPlan, Size

_PROBES = {"unet": 4, "control_unet": 4, "refiner": 4, "mmdit": 4, "controlnet": 4, "text_encoder": 3}
_DENOISERS = frozenset({"unet", "control_unet", "refiner", "mmdit", "controlnet"})

_BASE_MEMORY = 700_000_000
"""Bytes of a process that has imported torch and coremltools."""

_ACTIVATION_BYTES = {"vae_decoder": 4_000, "vae_encoder": 2_100, "preview_decoder": 1_400}
"""Bytes that arithmetic holds for each pixel of a picture; networks not named here work on latents."""

_BYTES_HELD = 1.3
"""Bytes that tracing holds for each parameter, stand-ins or not: what it copies on the way."""

_TRACING_OVERHEAD = 12.0
"""Seconds of imports and passes that any network takes."""

_SECONDS_PER_STORED = {"dense": 1.2e-9, "linear": 6e-9, "palette": 2.2e-8}
"""Seconds for each parameter that is stored."""


def forecast(
    networks: Iterable[NetworkPlan], request: ConversionRequest, folder: Path, unpacked: int = 0
) -> Forecast:
    """What it takes to make ``networks`` into ``folder``; ``unpacked`` bytes go there on the way."""
    each = [network_forecast(network, request) for network in networks]
    disk = sum(network.disk for network in each) + unpacked
    memory = max((network.memory for network in each), default=0)
    return Forecast(
        networks=each,
        memory=memory,
        disk=disk,
        seconds=round(sum(network.seconds for network in each), 1),
        warnings=list(_warnings(memory, disk, folder)),
    )


def network_forecast(network: NetworkPlan, request: ConversionRequest) -> NetworkForecast:
    """What one network takes."""
    sizes = network.sizes or ((0, 0),)
    pixels = max(width * height for width, height in sizes)
    activations = pixels * _ACTIVATION_BYTES.get(network.roles[0], 0)
    return NetworkForecast(
        network=network.key,
        parameters=network.parameters,
        memory=_BASE_MEMORY + int(_BYTES_HELD * network.parameters) + activations,
        disk=int(network.parameters * _stored_bytes(network, request)) + 1_000_000,
        seconds=round(sum(stage_seconds(network, request)), 1),
    )


def stage_seconds(network: NetworkPlan, request: ConversionRequest) -> tuple[float, float, float]:
    """Seconds for tracing, storing and comparing."""
    sizes = network.sizes or ((0, 0),)
    forward = [_operations(network, size, request) / _speed() for size in sizes]
    variants = len(network.roles)
    probes = _PROBES.get(network.roles[0], 1)
    tracing = variants * sum(_TRACING_OVERHEAD + 1.5 * seconds for seconds in forward)
    kind = "dense" if not network.compressed else "linear" if request.linear else "palette"
    storing = network.parameters * _SECONDS_PER_STORED[kind]
    comparing = variants * 2 * (probes * forward[0] + sum(forward[1:])) + network.parameters * 2e-9
    return tracing, storing, comparing


def _stored_bytes(network: NetworkPlan, request: ConversionRequest) -> float:
    """Bytes of one parameter on disk."""
    if network.compressed and (request.linear or request.nbits):
        return (8 if request.linear else request.nbits or 16) / 8 * 1.02
    return 4.0 if request.precision == "fp32" else 2.0


def _operations(network: NetworkPlan, size: Size, request: ConversionRequest) -> float:
    """Floating-point operations of running a network once.

    A text encoder uses each parameter once for every token; a convolution uses each at every position
    of its feature map, here an average over the levels of real architectures.
    """
    pixels, batch = size[0] * size[1], 1 if request.unet_batch_one else 2
    match network.roles[0]:
        case "mmdit":
            uses = 2.0 * (pixels / 256 + 154) * batch
        case "vae_decoder":
            uses = 0.08 * pixels
        case "vae_encoder":
            uses = 0.075 * pixels
        case "preview_decoder":
            uses = 0.22 * pixels
        case role if role in _DENOISERS:
            uses = 0.002 * pixels * batch
        case _:
            uses = 2.0 * 77
    return network.parameters * uses


@cache
def _speed() -> float:
    """Floating-point operations a second that this machine does in float32, half of its best."""
    size = 768
    matrix = np.ones((size, size), np.float32)
    best = 1e9
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return size**3 / best


def _warnings(memory: int, disk: int, folder: Path) -> Iterable[str]:
    present = psutil.virtual_memory().total
    if memory > 0.85 * present:
        yield f"it needs about {memory / 1e9:.1f} GB of memory, and the machine has {present / 1e9:.1f} GB"
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if disk > free:
        yield f"it needs about {disk / 1e9:.1f} GB of disk, and {there} has {free / 1e9:.1f} GB free"
