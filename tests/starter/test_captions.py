"""The grammar says what it means, and its tokens are those of CLIP."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sdtui.starter.captions import COLOURS, Grammar, article, with_background, without_background
from sdtui.starter.tokenizer import END, START, corpus, read_tokenizer, train_tokenizer

GRAMMAR = Grammar(("red apple", "octopus", "whale"), ((), ("cephalopod",), ()))


@given(st.integers(0, 2), st.integers(0, len(COLOURS) - 1), st.integers())
def test_a_caption_names_its_subject_and_the_colour_it_tells(
    subject: int, background: int, seed: int
) -> None:
    caption = GRAMMAR.caption(subject, background, random.Random(seed))
    words = (GRAMMAR.names[subject], *GRAMMAR.synonyms[subject])
    assert caption.subject == subject
    assert any(word in caption.text for word in words)
    if caption.background is None:
        told = caption.text.replace("red apple", "")
        assert not any(colour in told for colour in COLOURS)
    else:
        assert caption.background == background
        assert COLOURS[background] in caption.text


def test_the_article_fits_the_word() -> None:
    assert article("octopus") == "an"
    assert article("whale") == "a"
    assert "an octopus on a blue background" in with_background("octopus", "blue")
    assert "a whale" in without_background("whale")


def test_any_text_survives_the_tokenizer(tmp_path: Path) -> None:
    train_tokenizer(corpus(GRAMMAR), 700, tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    for text in ("red apple on a blue background", "café, 2 naïve wholes!", "日本 🐋"):
        ids = tokenizer(text, padding="max_length", max_length=77).input_ids
        assert len(ids) == 77
        assert tokenizer.convert_ids_to_tokens(ids[:1]) == [START]
        assert tokenizer.convert_ids_to_tokens(ids[-1:]) == [END]
        spoken = tokenizer.decode(ids, skip_special_tokens=True)
        assert spoken.replace(" ", "") == text.replace(" ", "")


def test_a_frequent_word_is_one_token(tmp_path: Path) -> None:
    train_tokenizer(corpus(GRAMMAR), 700, tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    assert tokenizer.tokenize("Background") == ["background</w>"]
