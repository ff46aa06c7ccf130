"""Which words of a prompt are new, compared with the prompt of the picture on the canvas."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

_WORD = re.compile(r"\S+")


@lru_cache(maxsize=8)
def changed_words(text: str, compared: str) -> tuple[tuple[int, int], ...]:
    """Start and end of each word of ``text`` that ``compared`` does not have in that place.

    None where they have no word in common: all of it is new then, which goes without saying.
    """
    words = list(_WORD.finditer(text))
    matcher = difflib.SequenceMatcher(
        None, _WORD.findall(compared), [word.group() for word in words], autojunk=False
    )
    opcodes = matcher.get_opcodes()
    if all(kind != "equal" for kind, *_ in opcodes):
        return ()
    return tuple(
        words[index].span()
        for kind, _, _, start, end in opcodes
        if kind in ("insert", "replace")
        for index in range(start, end)
    )
