"""Five thousand texts are the same tokens to us as to transformers, whatever the vocabulary."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.trainers import UnigramTrainer
from transformers import CLIPTokenizer
from transformers import T5Tokenizer as TheirT5Tokenizer

from sdtui.bundle import Bundle, BundleError
from sdtui.bundle.clip import write_clip_tokenizer
from sdtui.bundle.manifest import NetworkRole
from sdtui.bundle.t5_tokenizer import T5Tokenizer
from sdtui.bundle.tokenizer import Tokenizer
from tests.bundle.phrases import PIECES, phrases
from tests.tiny import TOKENS, TinyTorch

PHRASES = phrases(5000)
T5_TOKENS = 24


def assert_same(ours: Any, theirs: Any) -> None:
    """All tokens of each text; and of every tenth text what they are framed, cut and padded to."""
    for text, ids in zip(PHRASES, theirs(PHRASES, add_special_tokens=False).input_ids, strict=True):
        assert [token.id for token in ours.tokens(text)] == ids, text
    framed = theirs(PHRASES[::10], padding="max_length", truncation=True, max_length=ours.frame.length)
    for text, ids in zip(PHRASES[::10], framed.input_ids, strict=True):
        tokens = ours.tokens(text)[: ours.frame.limit]
        assert list(ours.frame.around(token.id for token in tokens)) == ids, text


@pytest.fixture(scope="module")
def real(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with the vocabulary that CLIP was published with."""
    folder = tmp_path_factory.mktemp("clip")
    write_clip_tokenizer(folder)
    return Bundle(folder, msgspec.structs.replace(Bundle.open(tiny_bundle).manifest, token_length=77))


@pytest.mark.parametrize(
    ("encoder", "pad_token"), [("text_encoder", "<|endoftext|>"), ("text_encoder_2", "!")]
)
def test_clip(encoder: NetworkRole, pad_token: str, real: Bundle) -> None:
    theirs = CLIPTokenizer.from_pretrained(str(real.path), model_max_length=77, pad_token=pad_token)
    assert_same(Tokenizer(real, encoder), theirs)


def test_a_vocabulary_of_few_words(tiny_bundle: Path, tiny_torch: TinyTorch) -> None:
    theirs = CLIPTokenizer.from_pretrained(str(tiny_torch.tokenizer), model_max_length=TOKENS)
    assert_same(Tokenizer(Bundle.open(tiny_bundle)), theirs)


@pytest.fixture(scope="module")
def with_t5(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a T5 tokenizer as transformers saves it, of pieces learned from our texts."""
    backend = Backend(Unigram())
    backend.pre_tokenizer = Metaspace()
    trainer = UnigramTrainer(vocab_size=400, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>")
    backend.train_from_iterator(PIECES, trainer)
    pieces = [(piece, score) for piece, score in json.loads(backend.to_str())["model"]["vocab"]]
    folder = tmp_path_factory.mktemp("t5")
    TheirT5Tokenizer(pieces, extra_ids=2).save_pretrained(folder)
    return dataclasses.replace(Bundle.open(tiny_bundle), path=folder)


def test_t5(with_t5: Bundle) -> None:
    theirs = TheirT5Tokenizer.from_pretrained(str(with_t5.path), extra_ids=2)
    assert_same(T5Tokenizer(with_t5, T5_TOKENS), theirs)


def test_t5_that_was_saved_with_a_length_of_its_own(with_t5: Bundle, tmp_path: Path) -> None:
    backend = Backend.from_file(str(with_t5.path / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=8)
    backend.save(str(tmp_path / "tokenizer.json"))
    copy = T5Tokenizer(dataclasses.replace(with_t5, path=tmp_path), T5_TOKENS)
    assert copy.tokens("a red apple on a blue background") == T5Tokenizer(with_t5, T5_TOKENS).tokens(
        "a red apple on a blue background"
    )


@pytest.mark.parametrize(
    ("content", "why"), [("{", "EOF|expected"), (Backend(Unigram()).to_str(), "it lacks </s> or <pad>")]
)
def test_a_broken_t5_tokenizer(with_t5: Bundle, tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BundleError, match=f"the T5 tokenizer of tiny cannot be used, .*({why})"):
        T5Tokenizer(dataclasses.replace(with_t5, path=tmp_path), T5_TOKENS)
