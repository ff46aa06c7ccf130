"""Stable Diffusion 3: a transformer that predicts a flow (Esser et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdtui.diffusion.families.conditions import Conditions, Prompts, run_rows, words
from sdtui.diffusion.text import T5Encoder, TextEncoder
from sdtui.runtime import Array, Network


@dataclass(frozen=True)
class StableDiffusion3:
    """Both CLIP encoders side by side, padded to T5's width, and T5's words after them.

    ``encoders`` are the two CLIPs. Where there is no ``t5`` its words are zeros, as in diffusers.
    ``tokens`` and ``width`` are those of all words together, which the transformer is made for.
    """

    encoders: tuple[TextEncoder, ...]
    t5: T5Encoder | None
    transformer: Network
    tokens: int
    width: int

    def condition(self, prompts: Prompts) -> Conditions:
        embeddings = [encoder.embed(prompts.rows) for encoder in self.encoders]
        clip = np.concatenate([each.hidden for each in embeddings], axis=-1)
        length, channels = clip.shape[1:]
        hidden = np.zeros((len(clip), self.tokens, self.width), np.float32)
        hidden[:, :length, :channels] = clip
        if self.t5 is not None:
            states = self.t5.embed(prompts.rows)[:, : self.tokens - length]
            hidden[:, length : length + states.shape[1]] = states
        pooled = np.concatenate([each.pooled for each in embeddings], axis=-1)
        return {
            "token_level_text_embeddings": words(hidden),
            "pooled_text_embeddings": pooled[:, :, None, None],
        }

    def predict(self, sample: Array, timestep: float, conditions: Conditions) -> Array:
        given = ("latent_image_embeddings", sample)
        return run_rows(self.transformer, given, timestep, conditions)["denoiser_output"]
