"""What is said of words that a model does not read."""

from __future__ import annotations

from textwrap import shorten

from sdtui.bundle.tokenizer import TextTokenizer
from sdtui.diffusion.prompt.chunks import tokenize
from sdtui.diffusion.prompt.submission import TEXTS
from sdtui.request import GenerationRequest

SHOWN = 60
"""Characters of them that are shown."""


def cut_off(request: GenerationRequest, tokenizer: TextTokenizer, chunks: int) -> str:
    """A note for the person about the ends of prompts that do not fit; empty where all do."""
    notes = []
    for field in TEXTS:
        told = tokenize(getattr(request, field) or "", tokenizer, chunks)
        if told.dropped:
            words = shorten(told.dropped, SHOWN, placeholder=" …") or told.dropped[:SHOWN]
            notes.append(f"the {field.replace('_', ' ')} is cut off after {told.limit} tokens: {words}")
    return "; ".join(notes)
