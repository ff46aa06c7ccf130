"""How a prompt is divided among chunks of tokens, and what is told of the words that do not fit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.bundle import Bundle
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.prompt.chunks import Tokenized, tokenize
from tests.tiny import WORDS

LENGTH = 6  # four words fit


@pytest.fixture(scope="module")
def tokenizer(tiny_bundle: Path) -> Tokenizer:
    bundle = Bundle.open(tiny_bundle)
    manifest = msgspec.structs.replace(bundle.manifest, token_length=LENGTH)
    return Tokenizer(Bundle(bundle.path, manifest))


def words(tokenized: Tokenized, tokenizer: Tokenizer) -> list[str]:
    """The words of each chunk, with their weights."""
    names = {tokenizer.tokens(word)[0].id: word for word in WORDS}
    return [
        " ".join(
            names[token] + (f":{weight:g}" if weight != 1 else "")
            for token, weight in zip(chunk.ids, chunk.weights, strict=True)
            if token in names
        )
        for chunk in tokenized.chunks
    ]


@pytest.mark.parametrize(
    ("prompt", "chunks", "expected", "count", "limit", "dropped"),
    [
        ("a red apple", 1, ["a red apple"], 3, 4, ""),
        ("a red apple", 2, ["a red apple", ""], 3, 8, ""),
        ("a (red:1.5) [apple]", 1, ["a red:1.5 apple:0.909091"], 3, 4, ""),
        ("a red apple on the blue", 1, ["a red apple on"], 6, 4, "the blue"),
        ("a red apple on the blue", 2, ["a red apple on", "the blue"], 6, 8, ""),
        ("a red (apple on the:2) blue", 1, ["a red apple:2 on:2"], 6, 4, "the blue"),
        (r"a red apple on \(the\) BREAK blue", 1, ["a red apple on"], 8, 4, "(the) blue"),
        ("a BREAK red apple", 3, ["a", "red apple", ""], 3, 9, ""),
        ("a BREAK red BREAK apple", 2, ["a", "red apple"], 3, 5, ""),
        ("a BREAK red", 1, ["a red"], 2, 4, ""),
        ("BREAK BREAK a red", 2, ["a red", ""], 2, 8, ""),
        ("a red apple on BREAK the", 2, ["a red apple on", "the"], 5, 8, ""),
        ("a BREAK red apple on the blue pear", 2, ["a", "red apple on the"], 7, 5, "blue pear"),
        ("", 2, ["", ""], 0, 8, ""),
    ],
)
def test_chunks(
    prompt: str, chunks: int, expected: list[str], count: int, limit: int, dropped: str, tokenizer: Tokenizer
) -> None:
    tokenized = tokenize(prompt, tokenizer, chunks)
    assert words(tokenized, tokenizer) == expected
    assert (tokenized.count, tokenized.limit, tokenized.dropped) == (count, limit, dropped)


@given(prompt=st.text(max_size=40) | st.lists(st.sampled_from([*WORDS, "BREAK", "(", ":2)"])).map(" ".join))
@pytest.mark.parametrize("chunks", [1, 3])
def test_every_token_is_read_or_told(prompt: str, chunks: int, tokenizer: Tokenizer) -> None:
    tokenized = tokenize(prompt, tokenizer, chunks)
    assert len(tokenized.chunks) == chunks
    for chunk in tokenized.chunks:
        assert len(chunk.ids) == len(chunk.weights) == LENGTH
        assert chunk.weights[0] == chunk.weights[-1] == 1
    assert (tokenized.count > tokenized.limit) == bool(tokenized.dropped)


@given(
    text=st.text(st.characters(exclude_characters="\\()[]"), max_size=40).filter(lambda t: "BREAK" not in t)
)
def test_a_plain_prompt_is_what_the_tokenizer_says(text: str, tokenizer: Tokenizer) -> None:
    tokenized, plain = tokenize(text, tokenizer), tokenizer.encode(text)
    assert tokenized.chunks[0].ids == plain.ids
    assert (tokenized.count, tokenized.limit, tokenized.dropped) == (plain.count, plain.limit, plain.dropped)
