"""The language of prompts in colours: what counts more or less, what is drawn, what begins anew."""

from __future__ import annotations

from functools import lru_cache

SPECIAL = frozenset({"bracket", "number", "break", "choice", "wildcard"})


@lru_cache(maxsize=16)
def marks(text: str) -> tuple[tuple[int, int, str], ...]:
    """Start and end of what is no plain word, and what it is: ``sign``, ``drawn``, ``more`` or ``less``.

    A sign is a bracket, a weight or BREAK; drawn is one of several alternatives, or a wildcard.
    """
    from sdtui.diffusion.prompt.spans import spans

    found: list[tuple[int, int, str]] = []
    for span in spans(text):
        if span.kind in ("choice", "wildcard"):
            found.append((span.start, span.end, "drawn"))
        elif span.kind in SPECIAL:
            found.append((span.start, span.end, "sign"))
        elif span.weight != 1:
            found.append((span.start, span.end, "more" if span.weight > 1 else "less"))
    return tuple(found)
