"""What the next picture will take of the machine's memory."""

from __future__ import annotations

from typing import Literal

import msgspec

from sdtui.engine.protocol import Memory

Verdict = Literal["fits", "tight", "too much"]
TIGHT, FULL = 0.75, 0.85
"""Shares of the machine's memory from which on people are warned: beyond, it swaps."""

BYTES_PER_PIXEL = 2600
"""What activations take of a Stable Diffusion UNet in fp16, two prompts at once: 8 heads' attention over
64 × 64 latents and back, 0.54 GB, and 0.15 GB of everything else, for 512 × 512 pixels."""


class Forecast(msgspec.Struct, frozen=True):
    """``peak`` bytes; ``measured`` says that a picture of this model and size took as much before."""

    peak: int
    measured: bool


def estimated(weights: int, width: int, height: int) -> Forecast:
    """A forecast for a model whose ``weights`` take so many bytes, before it has made a picture."""
    return Forecast(weights + BYTES_PER_PIXEL * width * height, measured=False)


def share(memory: Memory, peak: int) -> float:
    """How much of the machine would be in use (1: all of it) with the engine at ``peak`` bytes."""
    others = max(0, memory.machine - memory.engine)
    return (others + max(peak, 0)) / max(1, memory.machine_total)


def verdict(part: float) -> Verdict:
    """What a share of the machine in use means."""
    return "too much" if part >= FULL else "tight" if part >= TIGHT else "fits"
