"""Prompts through the text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdtui.bundle.t5_tokenizer import T5Tokenizer
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.prompt.conditioning import encode
from sdtui.runtime import Array, Network

PENULTIMATE = "penultimate_hidden_state"
"""What SD 1 and 2's encoders give for clip skip: the last layer is left out, its norm is not."""

_HIDDEN = ("hidden_embeds", "last_hidden_state")
"""What the hidden states are called: those of the last layer but one, which SDXL and SD3 read, or of
the last."""


@dataclass(frozen=True)
class Embedding:
    """P prompts as an encoder understands them: ``hidden`` (P, T, D), ``pooled`` (P, E), both float32."""

    hidden: Array
    pooled: Array


@dataclass(frozen=True)
class TextEncoder:
    """A CLIP text encoder and its tokenizer.

    The denoiser has room for so many ``chunks`` of tokens. ``clip_skip`` of its last layers are left out.
    """

    tokenizer: Tokenizer
    network: Network
    chunks: int = 1
    clip_skip: int = 0

    def embed(self, prompts: Sequence[str]) -> Embedding:
        """Each prompt through the network. Raises :class:`NetworkError`."""
        encoded = [encode(prompt, self.tokenizer, self._read, self.chunks) for prompt in prompts]
        hidden, pooled = map(np.concatenate, zip(*encoded, strict=True))
        return Embedding(hidden, pooled)

    def _read(self, ids: tuple[int, ...]) -> tuple[Array, ...]:
        answer = self.network.predict({"input_ids": np.array([ids], self.network.inputs["input_ids"].dtype)})
        names = (PENULTIMATE,) if self.clip_skip else _HIDDEN
        hidden = next(answer[name] for name in names if name in answer)
        return hidden, answer.get("pooled_outputs", hidden[:, 0])


@dataclass(frozen=True)
class T5Encoder:
    """T5, which reads a prompt in its own tokens."""

    tokenizer: T5Tokenizer
    network: Network

    def embed(self, prompts: Sequence[str]) -> Array:
        """The hidden states of each prompt: float32 (P, S, D). Raises :class:`NetworkError`.

        Every token counts, padding too: SD3 was trained and diffusers runs it without a mask.
        """
        return np.concatenate([encode(prompt, self.tokenizer, self._read)[0] for prompt in prompts])

    def _read(self, ids: tuple[int, ...]) -> tuple[Array, ...]:
        given = np.array([ids], np.float32)
        answer = self.network.predict({"input_ids": given, "attention_mask": np.ones_like(given)})
        return (answer["encoder_hidden_states"][:, :, 0].transpose(0, 2, 1),)
