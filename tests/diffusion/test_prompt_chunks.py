"""How a prompt is divided among chunks of tokens, and what is told of the words that do not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import ADDED_TOKENS_FILE, VOCABULARY_FILE
from sdtui.bundle.tokenizer import Frame, Token, Tokenizer
from sdtui.diffusion.prompt.chunks import Tokenized, tokenize
from tests.tiny import WORDS

PLAIN = st.characters(exclude_characters="\\()[]", exclude_categories=["Cs"])
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


@given(
    prompt=st.text(PLAIN, max_size=40)
    | st.lists(st.sampled_from([*WORDS, "BREAK", "(", ":2)"])).map(" ".join)
)
@pytest.mark.parametrize("chunks", [1, 3])
def test_every_token_is_read_or_told(prompt: str, chunks: int, tokenizer: Tokenizer) -> None:
    tokenized = tokenize(prompt, tokenizer, chunks)
    assert len(tokenized.chunks) == chunks
    for chunk in tokenized.chunks:
        assert len(chunk.ids) == len(chunk.weights) == LENGTH
        assert chunk.weights[0] == chunk.weights[-1] == 1
    assert (tokenized.count > tokenized.limit) == bool(tokenized.dropped)


@given(text=st.text(PLAIN, max_size=40).filter(lambda t: "BREAK" not in t))
def test_a_plain_prompt_is_what_the_tokenizer_says(text: str, tokenizer: Tokenizer) -> None:
    tokenized, plain = tokenize(text, tokenizer), tokenizer.encode(text)
    assert tokenized.chunks[0].ids == plain.ids
    assert (tokenized.count, tokenized.limit, tokenized.dropped) == (plain.count, plain.limit, plain.dropped)


def test_words_of_several_vectors_are_weighed_whole(tiny_bundle: Path, tmp_path: Path) -> None:
    """A textual inversion's tokens, among those of other words."""
    bundle = Bundle.open(tiny_bundle)
    for file in bundle.tokenizer_files:
        (tmp_path / file).write_bytes((bundle.path / file).read_bytes())
    count = len(json.loads((tmp_path / VOCABULARY_FILE).read_bytes()))
    added = {"<toy>": count, "<toy>_1": count + 1, "<toy>_2": count + 2}
    (tmp_path / ADDED_TOKENS_FILE).write_text(json.dumps(added))
    tokenizer = Tokenizer(Bundle(tmp_path, bundle.manifest))
    [chunk] = tokenize("a (<toy>:1.5) pear", tokenizer).chunks
    assert chunk.ids[2:5] == tuple(added.values())
    assert chunk.weights[1:6] == (1, 1.5, 1.5, 1.5, 1)


@dataclass(frozen=True)
class Letters:
    """A tokenizer like T5's: nothing before the words, one token after them."""

    frame: Frame

    def tokens(self, text: str) -> list[Token]:
        return [Token(ord(letter), start) for start, letter in enumerate(text)]


def test_weights_lie_on_their_tokens_in_any_frame() -> None:
    letters = Letters(Frame((), (1,), 0, 5))
    tokenized = tokenize("a(b:2)c BREAK (de:.5)", letters, 2)
    assert [chunk.ids for chunk in tokenized.chunks] == [(97, 98, 99, 1, 0), (100, 101, 1, 0, 0)]
    assert [chunk.weights for chunk in tokenized.chunks] == [(1, 2, 1, 1, 1), (0.5, 0.5, 1, 1, 1)]
    assert tokenize("(ab)cdef", letters).dropped == "ef"
