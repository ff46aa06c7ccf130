"""A prompt's fragments as the numbers that a text encoder reads, chunk by chunk. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdtui.diffusion.prompt.weights import parse

if TYPE_CHECKING:
    from sdtui.bundle.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Chunk:
    """What the text encoder reads at once: framed tokens, and how much each of them counts."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Tokenized:
    """A prompt for one text encoder.

    ``count`` is the prompt's own tokens, ``limit`` how many fit the way it is divided, and ``dropped``
    the words at its end that do not, without brackets and weights.
    """

    chunks: tuple[Chunk, ...]
    count: int
    limit: int
    dropped: str


@dataclass(frozen=True)
class _Word:
    """A token, where it begins in the words of the whole prompt, and how many BREAKs come before it."""

    id: int
    weight: float
    start: int
    breaks: int


def tokenize(prompt: str, tokenizer: TextTokenizer, chunks: int = 1) -> Tokenized:
    """Divide ``prompt`` into just as many ``chunks``; those that it does not need are empty.

    A chunk begins where the one before it is full, and at BREAK as long as another is left: the last
    one takes what still fits. Fragments are tokenized one by one, as AUTOMATIC1111 does.
    """
    words, plain = _words(prompt, tokenizer)
    limit = tokenizer.frame.limit
    filled: list[list[_Word]] = [[]]
    room, breaks = chunks * limit, 0
    dropped = ""
    for word in words:
        broken, breaks = word.breaks > breaks and bool(filled[-1]), word.breaks
        if len(filled) < chunks and (broken or len(filled[-1]) == limit):
            room -= limit - len(filled[-1])
            filled.append([])
        if len(filled[-1]) == limit:
            dropped = plain[word.start :]
            break
        filled[-1].append(word)
    filled += [[]] * (chunks - len(filled))
    return Tokenized(tuple(_framed(each, tokenizer) for each in filled), len(words), room, dropped)


def _words(prompt: str, tokenizer: TextTokenizer) -> tuple[list[_Word], str]:
    """All tokens of ``prompt``, and its words as plain text."""
    words: list[_Word] = []
    plain = ""
    for breaks, fragments in enumerate(parse(prompt)):
        plain += " " if breaks else ""
        for fragment in fragments:
            words += [
                _Word(token.id, fragment.weight, len(plain) + token.start, breaks)
                for token in tokenizer.tokens(fragment.text)
            ]
            plain += fragment.text
    return words, plain


def _framed(words: list[_Word], tokenizer: TextTokenizer) -> Chunk:
    frame = tokenizer.frame
    weights = (*(1.0 for _ in frame.prefix), *(word.weight for word in words))
    rest = (1.0,) * (frame.length - len(weights))
    return Chunk(frame.around(word.id for word in words), weights + rest)
