"""Stable Diffusion XL and its refiner (Podell et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdtui.diffusion.families.conditions import Conditions, Prompts, run_rows, words
from sdtui.diffusion.families.stable_diffusion import distilled
from sdtui.diffusion.text import TextEncoder
from sdtui.runtime import Array, Network

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5
"""How beautiful the refiner is told that a picture is, and that what it avoids is: diffusers' values."""


@dataclass(frozen=True)
class StableDiffusionXL:
    """The base model: both CLIP encoders' words, the second one's pooled text, and the picture's size.

    The first encoder may be missing. ``width`` and ``height`` are pixels: what the training pictures'
    original size was, and that they were not cropped. An empty negative prompt is not encoded: it is
    zeros, as in diffusers (``force_zeros_for_empty_prompt``).
    """

    encoders: tuple[TextEncoder, ...]
    unet: Network
    width: int
    height: int
    timestep_cond: Array | None = None

    def condition(self, prompts: Prompts) -> Conditions:
        embeddings = [encoder.embed(prompts.rows) for encoder in self.encoders]
        hidden = np.concatenate([each.hidden for each in embeddings], axis=-1)
        pooled = embeddings[-1].pooled.copy()
        if prompts.negative == "":
            hidden[0], pooled[0] = 0, 0
        size = (self.height, self.width)
        ids = np.array([*size, 0, 0, *size], np.float32)
        return {
            "encoder_hidden_states": words(hidden),
            "text_embeds": pooled,
            "time_ids": np.tile(ids, (len(hidden), 1)),
            **distilled(self.timestep_cond, len(hidden)),
        }

    def predict(self, sample: Array, timestep: float, conditions: Conditions) -> Array:
        return run_rows(self.unet, ("sample", sample), timestep, conditions)["noise_pred"]


@dataclass(frozen=True)
class StableDiffusionXLRefiner:
    """The refiner, which finishes what the base model began: only the second encoder, and a score."""

    encoder: TextEncoder
    unet: Network
    width: int
    height: int

    def condition(self, prompts: Prompts) -> Conditions:
        embedding = self.encoder.embed(prompts.rows)
        negative = [] if prompts.negative is None else [NEGATIVE_AESTHETIC_SCORE]
        scores = [*negative, AESTHETIC_SCORE]
        ids = [[self.height, self.width, 0, 0, score] for score in scores]
        return {
            "encoder_hidden_states": words(embedding.hidden),
            "text_embeds": embedding.pooled,
            "time_ids": np.array(ids, np.float32),
        }

    def predict(self, sample: Array, timestep: float, conditions: Conditions) -> Array:
        return run_rows(self.unet, ("sample", sample), timestep, conditions)["noise_pred"]
