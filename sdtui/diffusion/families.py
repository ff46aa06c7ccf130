"""What differs between model families: how they are conditioned, and what their UNet takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.text import embed
from sdtui.runtime import Array, Network


class StableDiffusion:
    """Stable Diffusion 1.x and 2.x: one CLIP text encoder, whose words are all the UNet is told."""

    def __init__(self, tokenizer: Tokenizer, text_encoder: Network, unet: Network) -> None:
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._unet = unet

    def condition(self, prompts: Sequence[str]) -> Array:
        """The words of P prompts as the UNet reads them: float32 (P, D, 1, T)."""
        hidden = np.concatenate([embed(prompt, self._tokenizer, self._text_encoder) for prompt in prompts])
        return hidden.transpose(0, 2, 1)[:, :, None]

    def predict(self, sample: Array, timestep: float, words: Array) -> Array:
        """The UNet's answers (P, C, h, w) to ``sample`` (1, C, h, w), one for each of P prompts.

        As few calls as the UNet's batch allows; a place in it that is left over repeats a prompt.
        """
        batch = self._unet.inputs["sample"].shape[0]
        samples = np.repeat(sample, batch, axis=0)
        timesteps = np.full(self._unet.inputs["timestep"].shape, timestep, np.float32)
        places = np.arange(-(-len(words) // batch) * batch) % len(words)
        answers = [
            self._unet.predict(
                {
                    "sample": samples,
                    "timestep": timesteps,
                    "encoder_hidden_states": words[places[start : start + batch]],
                }
            )["noise_pred"]
            for start in range(0, len(places), batch)
        ]
        return np.concatenate(answers)[: len(words)]
