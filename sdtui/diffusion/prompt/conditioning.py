"""A prompt's hidden states: of words that count more or less, and of more words than one chunk holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sdtui.bundle.tokenizer import TextTokenizer
from sdtui.diffusion.prompt.chunks import Chunk, tokenize
from sdtui.runtime import Array

Read = Callable[[tuple[int, ...]], tuple[Array, ...]]
"""A text encoder: a chunk's T tokens -> its hidden states (1, T, D), and whatever else it says of them."""


def encode(prompt: str, tokenizer: TextTokenizer, read: Read, chunks: int = 1) -> tuple[Array, ...]:
    """Hidden states (1, ``chunks`` * T, D) of ``prompt``, and what else is said of its first chunk.

    A word of weight w moves its states from those of the empty prompt, e, to e + w (z - e), as ComfyUI
    and compel do it. AUTOMATIC1111 multiplies z itself and then restores the mean of all, which divides
    by nearly nothing in SDXL's encoders (its pull request 14874); this holds for every encoder. Chunks
    are read one by one and laid side by side, as both do. What is pooled is not weighted. Where all
    weights are 1 the states are the encoder's own, to the last bit.
    """
    divided = tokenize(prompt, tokenizer, chunks).chunks
    answers = [read(chunk.ids) for chunk in divided]
    hidden = [answer[0] for answer in answers]
    if any(weight != 1 for chunk in divided for weight in chunk.weights):
        empty = read(tokenizer.frame.around(()))[0]
        hidden = [_weighted(each, chunk, empty) for each, chunk in zip(hidden, divided, strict=True)]
    return np.concatenate(hidden, axis=1), *answers[0][1:]


def _weighted(hidden: Array, chunk: Chunk, empty: Array) -> Array:
    weights = np.array(chunk.weights, np.float32)[:, None]
    return np.where(weights == 1, hidden, empty + weights * (hidden - empty))
