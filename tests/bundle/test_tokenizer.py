"""Our tokens are transformers' tokens."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from diffusers.loaders import TextualInversionLoaderMixin
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from sdtui.bundle import Bundle, BundleError
from sdtui.bundle.tokenizer import Tokenizer
from tests.tiny import TOKENS, WORDS, TinyTorch

texts = st.text(max_size=60) | st.lists(
    st.sampled_from([*WORDS, "!", "don't", "3d", "<|endoftext|>", "<|startoftext|>", "é", "e\u0301", "🍎"])
).map(" ".join)


@pytest.fixture(scope="module", params=["<|endoftext|>", "!"])
def both(
    request: pytest.FixtureRequest, tiny_bundle: Path, tiny_torch: TinyTorch
) -> tuple[Tokenizer, CLIPTokenizer]:
    """Our tokenizer and transformers', padding as Stable Diffusion 1 does and as 2 does."""
    bundle = Bundle.open(tiny_bundle)
    manifest = msgspec.structs.replace(bundle.manifest, pad_token=request.param)
    theirs = CLIPTokenizer.from_pretrained(
        str(tiny_torch.tokenizer), model_max_length=TOKENS, pad_token=request.param
    )
    return Tokenizer(dataclasses.replace(bundle, manifest=manifest)), theirs


@given(text=texts)
def test_the_same_tokens_as_transformers(text: str, both: tuple[Tokenizer, CLIPTokenizer]) -> None:
    ours, theirs = both
    tokens = ours.encode(text)
    assert list(tokens.ids) == theirs(text, padding="max_length", truncation=True).input_ids
    assert tokens.count == len(theirs(text, add_special_tokens=False).input_ids)


def test_words_are_whole_tokens_and_the_rest_is_bytes(tiny_bundle: Path) -> None:
    tokenizer = Tokenizer(Bundle.open(tiny_bundle))
    assert tokenizer.encode("a red Apple").count == 3
    assert tokenizer.encode("zz").count == 2
    assert tokenizer.encode("").count == 0


def test_what_does_not_fit_is_told(tiny_bundle: Path) -> None:
    tokens = Tokenizer(Bundle.open(tiny_bundle)).encode("red " * 14 + "Apple  a")
    assert (tokens.count, tokens.limit, tokens.dropped) == (16, 14, "Apple  a")
    assert len(tokens.ids) == TOKENS
    assert Tokenizer(Bundle.open(tiny_bundle)).encode("red " * 14).dropped == ""


@pytest.mark.parametrize(
    ("file", "content"), [("vocab.json", "{}"), ("vocab.json", "{"), ("merges.txt", "a b c")]
)
def test_a_broken_vocabulary(tiny_bundle: Path, tmp_path: Path, file: str, content: str) -> None:
    bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    (bundle.path / file).write_text(content)
    with pytest.raises(BundleError, match="the tokenizer of tiny"):
        Tokenizer(bundle)


ADDED = {"<toy>": 0, "<toy>_1": 1, "<toy>_2": 2, "lamp-shade": 3, "<toys>": 4, "<toys>_2": 5}


@pytest.fixture(scope="module")
def inverted(
    tiny_bundle: Path, tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tokenizer, CLIPTokenizer]:
    """Our tokenizer and transformers' with the tokens of textual inversions, one of three vectors."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("inverted") / "bundle")
    theirs = CLIPTokenizer.from_pretrained(str(tiny_torch.tokenizer), model_max_length=TOKENS)
    added = {token: len(theirs) + index for token, index in ADDED.items()}
    theirs.add_tokens(list(added))
    (folder / "added_tokens.json").write_text(json.dumps(added))
    return Tokenizer(Bundle.open(folder)), theirs


@given(text=st.lists(st.sampled_from([*ADDED, "a red", "apple", ",", "<", "é"])).map(" ".join))
def test_textual_inversions_stand_for_all_their_vectors(
    text: str, inverted: tuple[Tokenizer, CLIPTokenizer]
) -> None:
    ours, theirs = inverted
    # diffusers replaces <toy> inside <toy>_1 too, and then reads neither: we do not follow it there.
    assume("<toy>_" not in text)
    prompt = TextualInversionLoaderMixin().maybe_convert_prompt(text, theirs)
    expected = theirs(prompt, padding="max_length", truncation=True).input_ids
    assert list(ours.encode(text).ids) == expected
    assert ours.encode(text.upper()).ids == ours.encode(text).ids


def test_a_cut_inside_a_textual_inversion_is_told(inverted: tuple[Tokenizer, CLIPTokenizer]) -> None:
    tokens = inverted[0].encode("red " * 13 + "<toy> pear")
    assert (tokens.count, tokens.dropped) == (17, "<toy> pear")


@pytest.mark.parametrize("content", ["[]", "{", '{"<toy>": "1"}', '{"<toy>": 900}', '{"<toy>": 3}'])
def test_broken_added_tokens(tiny_bundle: Path, tmp_path: Path, content: str) -> None:
    bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    (bundle.path / "added_tokens.json").write_text(content)
    with pytest.raises(BundleError, match=r"the tokenizer of tiny .*added_tokens\.json"):
        Tokenizer(bundle)


def test_the_second_text_encoder_has_a_padding_of_its_own(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    first, second = Tokenizer(bundle), Tokenizer(bundle, "text_encoder_2")
    assert first.encode("red").ids[:3] == second.encode("red").ids[:3]
    assert set(second.encode("red").ids[3:]) == {0}
    assert 0 not in first.encode("red").ids


def test_counting_tokens_is_light() -> None:
    """The interface counts tokens at every key: nothing heavy may come with that."""
    program = (
        "import sys, sdtui.bundle.tokenizer;"
        "print({'numpy', 'torch', 'transformers', 'diffusers', 'coremltools'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
