"""Textual inversions added by us are those added by diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTokenizer

from sdtui.convert.checkpoint.checkpoint import Checkpoint, open_checkpoint
from sdtui.convert.checkpoint.fusing import fuse
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints
from tests.convert.checkpoints import WORDS
from tests.tiny import write_tokenizer


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def saved(family: str, tmp_path: Path) -> Checkpoint:
    vocabulary = len(write_tokenizer(tmp_path / "vocabulary"))
    folder = checkpoints.save_folder(
        tmp_path / "model", family, checkpoints.networks(family, vocabulary), torch.float32
    )
    return open_checkpoint(str(folder), tmp_path / "work")


def test_encoded_like_diffusers(tmp_path: Path) -> None:
    """Three files of three forms; one has two vectors."""
    checkpoint = saved("sd", tmp_path)
    random = torch.Generator().manual_seed(0)
    vectors = [torch.randn(count, WORDS, generator=random) for count in (1, 2, 1)]
    files = [tmp_path / name for name in ("first.bin", "second.pt", "third.safetensors")]
    torch.save({"<apple>": vectors[0][0]}, files[0])
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors[1]}, "name": "second"}, files[1]
    )
    save_file({"<pear>": vectors[2]}, files[2])

    folder = checkpoint.tokenizer()
    tokenizer: Any = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    pipeline: Any = StableDiffusionPipeline(
        text_encoder=checkpoint.component("text_encoder").module(),
        tokenizer=tokenizer,
        unet=checkpoint.component("unet").module(),
        vae=checkpoint.component("vae").module(),
        scheduler=checkpoints.scheduler("sd"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for file in files:
        pipeline.load_textual_inversion(str(file.parent), weight_name=file.name)
    prompt = pipeline.maybe_convert_prompt("a <apple> second <pear>", tokenizer)
    ids = torch.tensor([tokenizer(prompt).input_ids])

    fused, adapters = fuse(checkpoint, [], [str(file) for file in files], tmp_path / "work")
    assert [adapter.tokens for adapter in adapters] == [["<apple>"], ["second", "second_1"], ["<pear>"]]
    assert {adapter.kind for adapter in adapters} == {"textual_inversion"}
    added = json.loads((fused.tokenizer() / "added_tokens.json").read_text())
    assert added == {token: tokenizer.convert_tokens_to_ids(token) for token in added}
    assert set(added.values()) <= set(ids[0].tolist())
    assert (fused.tokenizer() / "vocab.json").read_bytes() == (folder / "vocab.json").read_bytes()
    module = fused.component("text_encoder").module()
    with torch.no_grad():
        expected, found = pipeline.text_encoder(ids), module(ids)
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state)
    torch.testing.assert_close(found.pooler_output, expected.pooler_output)
    assert fused.component("unet") is checkpoint.component("unet")


def test_two_encoders(tmp_path: Path) -> None:
    checkpoint = saved("sdxl", tmp_path)
    file = tmp_path / "style.safetensors"
    vectors = {"clip_l": torch.randn(2, WORDS), "clip_g": torch.randn(2, 128)}
    save_file(vectors, file)
    fused, [adapter] = fuse(checkpoint, [], [str(file)], tmp_path / "work")
    assert adapter.tokens == ["style", "style_1"]
    for name, key in (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g")):
        table = fused.component(name).module().get_input_embeddings().weight  # type: ignore[operator]
        assert torch.equal(table[-2:], vectors[key])
        ids = json.loads(
            (fused.tokenizer(name.replace("text_encoder", "tokenizer")) / "added_tokens.json").read_text()
        )
        assert ids == {"style": len(table) - 2, "style_1": len(table) - 1}


def test_vocabulary_in_one_file(tmp_path: Path) -> None:
    """Newer repositories have tokenizer.json alone."""
    checkpoint = saved("sd", tmp_path)
    folder = checkpoint.tokenizer()
    words = (folder / "vocab.json").read_text(), (folder / "merges.txt").read_text()
    merges = [line.split(" ") for line in words[1].splitlines()[1:]]
    model = {"vocab": json.loads(words[0]), "merges": merges}
    (folder / "tokenizer.json").write_text(json.dumps({"model": model}))
    (folder / "vocab.json").unlink()
    (folder / "merges.txt").unlink()
    save_file({"emb_params": torch.randn(1, WORDS)}, tmp_path / "style.safetensors")
    fused, _ = fuse(checkpoint, [], [str(tmp_path / "style.safetensors")], tmp_path / "work")
    assert json.loads((fused.tokenizer() / "vocab.json").read_text()) == json.loads(words[0])
    assert (fused.tokenizer() / "merges.txt").read_text() == words[1]


def test_old_files_still_find_the_end_of_the_text(tmp_path: Path) -> None:
    """An ``eos_token_id`` of 2 means the highest id, until there are higher ones."""
    saved("sd", tmp_path)
    config = tmp_path / "model" / "text_encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"eos_token_id": 2}))
    checkpoint = open_checkpoint(str(tmp_path / "model"), tmp_path / "work")
    save_file({"emb_params": torch.randn(1, WORDS)}, tmp_path / "style.safetensors")
    fused, _ = fuse(checkpoint, [], [str(tmp_path / "style.safetensors")], tmp_path / "work")
    encoder = fused.component("text_encoder")
    end = encoder.config["vocab_size"] - 2
    with torch.no_grad():
        found = encoder.module()(torch.tensor([[1, end + 1, 2, end]]))
    assert torch.equal(found.pooler_output[0], found.last_hidden_state[0, 3])


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"emb_params": torch.ones(1, 32)}, "its vectors are (1, 32), for a text encoder of 64"),
        (
            {"clip_l": torch.ones(1, 64), "clip_g": torch.ones(1, 128)},
            "it is for text encoder and text encoder 2",
        ),
        ({"a": torch.ones(1, 64), "b": torch.ones(1, 64)}, "no textual inversion"),
        ({"emb_params": torch.full((1, 64), torch.inf)}, "not finite"),
        ({"emb_params": torch.ones(1, 64, dtype=torch.int32)}, "not finite"),
        ({"apple</w>": torch.ones(1, 64)}, "the vocabulary has it already"),
        ({"a\nb": torch.ones(1, 64)}, "cannot be typed"),
        ({"emb_params": torch.ones(0, 64)}, "(0, 64)"),
        ({}, "no textual inversion"),
    ],
)
def test_refusals(tensors: dict[str, Tensor], why: str, tmp_path: Path) -> None:
    checkpoint = saved("sd", tmp_path)
    file = tmp_path / "style.safetensors"
    save_file(tensors, file)
    with pytest.raises(ConversionError) as caught:
        fuse(checkpoint, [], [str(file)], tmp_path / "work")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work").exists()


def test_the_same_word_twice_is_refused(tmp_path: Path) -> None:
    checkpoint = saved("sd", tmp_path)
    save_file({"<a>": torch.ones(1, WORDS)}, tmp_path / "style.safetensors")
    with pytest.raises(ConversionError, match="has it already"):
        fuse(checkpoint, [], [str(tmp_path / "style.safetensors")] * 2, tmp_path / "work")
