"""Prompts through the text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdtui.bundle.t5_tokenizer import T5Tokenizer
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.runtime import Array, Network

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
    """A CLIP text encoder and its tokenizer."""

    tokenizer: Tokenizer
    network: Network

    def embed(self, prompts: Sequence[str]) -> Embedding:
        """Each prompt through the network. Raises :class:`NetworkError`."""
        answers = [self._answer(prompt) for prompt in prompts]
        name = next(name for name in _HIDDEN if name in answers[0])
        hidden = np.concatenate([answer[name] for answer in answers])
        pooled = [answer.get("pooled_outputs", answer[name][:, 0]) for answer in answers]
        return Embedding(hidden, np.concatenate(pooled))

    def _answer(self, prompt: str) -> dict[str, Array]:
        ids = np.array([self.tokenizer.encode(prompt).ids], self.network.inputs["input_ids"].dtype)
        return self.network.predict({"input_ids": ids})


@dataclass(frozen=True)
class T5Encoder:
    """T5, which reads a prompt in its own tokens."""

    tokenizer: T5Tokenizer
    network: Network

    def embed(self, prompts: Sequence[str]) -> Array:
        """The hidden states of each prompt: float32 (P, S, D). Raises :class:`NetworkError`.

        Every token counts, padding too: SD3 was trained and diffusers runs it without a mask.
        """
        frame = self.tokenizer.frame
        states = []
        for prompt in prompts:
            tokens = self.tokenizer.tokens(prompt)[: frame.limit]
            ids = np.array([frame.around(token.id for token in tokens)], np.float32)
            answer = self.network.predict({"input_ids": ids, "attention_mask": np.ones_like(ids)})
            states.append(answer["encoder_hidden_states"][:, :, 0].transpose(0, 2, 1))
        return np.concatenate(states)
