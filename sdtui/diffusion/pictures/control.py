"""ControlNets: pictures that a picture follows (Zhang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdtui.diffusion.families.conditions import Conditions, run_rows
from sdtui.runtime import Array, Network

RESIDUAL = "additional_residual_"
"""How a UNet's inputs begin, and a ControlNet's outputs, that are added to the UNet's skips."""


@dataclass(frozen=True)
class Following:
    """A ControlNet at work: ``picture`` float32 (1, 3, H, W) in 0 to 1, and how much it counts when.

    ``start`` and ``end`` are fractions of the steps, ``weight`` multiplies its residuals.
    """

    network: Network
    picture: Array
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def counts(self, index: int, total: int) -> bool:
        """Whether it does at step ``index`` of ``total``, from 0; as diffusers' control_guidance_start."""
        return self.start <= index / total and (index + 1) / total <= self.end

    def residuals(self, sample: Array, timestep: float, conditions: Conditions) -> Conditions:
        """What it adds to the UNet's skips for each row, at full strength."""
        rows = len(next(iter(conditions.values())))
        given = {name: value for name, value in conditions.items() if name in self.network.inputs}
        given["controlnet_cond"] = np.repeat(self.picture, rows, axis=0)
        return run_rows(self.network, ("sample", sample), timestep, given)


def controlled(
    controls: Sequence[Following],
    unet: Network,
    sample: Array,
    timestep: float,
    conditions: Conditions,
    index: int,
    total: int,
) -> Conditions:
    """``conditions`` with the residuals of those ControlNets that count at step ``index`` of ``total``.

    Weighted and summed; zeros where none counts. ``sample`` (1, C, h, w) is what the UNet is shown,
    without an inpainting model's additional channels.
    """
    rows = len(next(iter(conditions.values())))
    residuals = {
        name: np.zeros((rows, *spec.shape[1:]), np.float32)
        for name, spec in unet.inputs.items()
        if name.startswith(RESIDUAL)
    }
    for control in controls:
        if control.counts(index, total):
            for name, values in control.residuals(sample, timestep, conditions).items():
                residuals[name] += np.float32(control.weight) * values
    return {**conditions, **residuals}
