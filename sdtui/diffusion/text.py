"""Prompts to what a UNet reads."""

from __future__ import annotations

import numpy as np

from sdtui.bundle.tokenizer import Tokenizer
from sdtui.runtime import Array, Network


def embed(prompt: str, tokenizer: Tokenizer, encoder: Network) -> Array:
    """The text encoder's last hidden states for ``prompt``: float32 (1, T, D)."""
    ids = np.array([tokenizer.encode(prompt).ids], encoder.inputs["input_ids"].dtype)
    return encoder.predict({"input_ids": ids})["last_hidden_state"]
