"""Stable Diffusion 1 and 2, and the UNet's part in XL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdtui.diffusion.families.conditions import Conditions, Prompts, run_rows, words
from sdtui.diffusion.text import TextEncoder
from sdtui.runtime import Array, Network


@dataclass(frozen=True)
class StableDiffusion:
    """Stable Diffusion 1.x and 2.x (Rombach et al. 2022): one CLIP text encoder is all it listens to.

    ``timestep_cond`` (1, W) is the embedded guidance scale of a distilled model, for which there is
    no guidance outside; None for others.
    """

    encoder: TextEncoder
    unet: Network
    timestep_cond: Array | None = None

    def condition(self, prompts: Prompts) -> Conditions:
        hidden = self.encoder.embed(prompts.rows).hidden
        return {"encoder_hidden_states": words(hidden), **distilled(self.timestep_cond, len(hidden))}

    def predict(self, sample: Array, timestep: float, conditions: Conditions) -> Array:
        return run_rows(self.unet, ("sample", sample), timestep, conditions)["noise_pred"]


def distilled(timestep_cond: Array | None, rows: int) -> Conditions:
    """The condition of a distilled model, the same in each row; none where it is None."""
    return {} if timestep_cond is None else {"timestep_cond": np.repeat(timestep_cond, rows, axis=0)}
