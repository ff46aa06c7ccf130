"""The shipped vocabulary is CLIP's, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from transformers import CLIPTokenizer

from sdtui.bundle import Bundle
from sdtui.bundle.clip import VOCABULARY_SIZE, write_clip_tokenizer
from sdtui.bundle.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(clip: Path, tiny_bundle: Path) -> Tokenizer:
    manifest = msgspec.structs.replace(Bundle.open(tiny_bundle).manifest, token_length=77)
    return Tokenizer(Bundle(clip, manifest))


def test_the_files_are_as_published(clip: Path) -> None:
    """Sizes in bytes of those in openai/clip-vit-large-patch14."""
    assert (clip / "vocab.json").stat().st_size == 961_143
    assert (clip / "merges.txt").stat().st_size == 524_619
    vocabulary = json.loads((clip / "vocab.json").read_text(encoding="utf-8"))
    assert list(vocabulary.values()) == list(range(VOCABULARY_SIZE))
    assert [vocabulary[token] for token in ("!", "!</w>", "in", "<|startoftext|>", "<|endoftext|>")] == [
        0, 256, 512, 49406, 49407,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ids"), [("a photo of a cat", [320, 1125, 539, 320, 2368]), ("hello world", [3306, 1002])]
)
def test_known_prompts(text: str, ids: list[int], tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(text)
    assert list(tokens.ids) == [49406, *ids, *[49407] * (76 - len(ids))]
    assert tokens.count == len(ids)


@pytest.mark.parametrize("text", ["naïve café, 3d — don't!", "日本の庭", "🍎 apple", "\x00\x7f\xad ÿ"])
def test_every_byte_is_in_its_place(text: str, clip: Path, tokenizer: Tokenizer) -> None:
    theirs = CLIPTokenizer.from_pretrained(str(clip), model_max_length=77)
    assert list(tokenizer.encode(text).ids) == theirs(text, padding="max_length", truncation=True).input_ids
