"""A prompt as fragments of words that count more or less, in chunks that BREAK separates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sdtui.diffusion.prompt.spans import spans


@dataclass(frozen=True)
class Fragment:
    """Words as the tokenizer takes them, and how much they count: 1 where nothing was said."""

    text: str
    weight: float = 1.0


def parse(prompt: str) -> tuple[tuple[Fragment, ...], ...]:
    """The fragments of each chunk, neighbours of one weight joined; it reads any text whatsoever."""
    chunks: list[list[Fragment]] = [[]]
    for span in spans(prompt):
        if span.kind == "break":
            chunks.append([])
        elif span.kind not in ("bracket", "number"):
            written = prompt[span.start : span.end]
            words = written[1:] if span.kind == "escape" else written
            before = chunks[-1].pop() if chunks[-1] and chunks[-1][-1].weight == span.weight else None
            chunks[-1].append(Fragment(before.text + words if before else words, span.weight))
    return tuple(map(tuple, chunks))


def unparse(chunks: Sequence[Sequence[Fragment]]) -> str:
    """A prompt that :func:`parse` reads back to equal fragments."""
    return " BREAK ".join("".join(map(_written, chunk)) for chunk in chunks)


def escape(text: str) -> str:
    """``text`` as a prompt that means just this text, but for the word BREAK."""
    return re.sub(r"[\\()\[\]{}|]|(?<=_)_", r"\\\g<0>", text)


def _written(fragment: Fragment) -> str:
    words = re.sub(r"\bBREAK\b", "BREA(K:1)", escape(fragment.text))  # the word itself cannot be escaped
    return words if fragment.weight == 1 else f"({words}:{Decimal(repr(fragment.weight)):f})"
