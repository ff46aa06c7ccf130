"""Weighted and long prompts give the embeddings, and the pictures, that torch and diffusers give for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from sdtui.bundle import Bundle
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.convert.accuracy import psnr
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.unet import unet as unet_source
from sdtui.convert.source import Source
from sdtui.diffusion.checking import check
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.events import Encoding, PipelineEvent
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.prompt.checking import check_prompts
from sdtui.diffusion.prompt.conditioning import encode
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network, load_network
from tests.diffusion.variants import variant
from tests.tiny import LATENT, SCHEDULER_CONFIG, TOKENS, TinyTorch

LONG = "a photo of the red apple on a blue pear " * 2
"""Twenty words of a token each."""


@pytest.fixture(scope="module")
def network(tiny_bundle_fp32: Path) -> Iterator[Network]:
    network = load_network(Bundle.open(tiny_bundle_fp32).network("text_encoder"), "cpu-only", "fp32")
    yield network
    network.close()


@pytest.fixture(scope="module")
def tokenizer(tiny_bundle_fp32: Path) -> Tokenizer:
    return Tokenizer(Bundle.open(tiny_bundle_fp32))


@pytest.fixture(scope="module")
def their_tokenizer(tiny_torch: TinyTorch) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(str(tiny_torch.tokenizer), model_max_length=TOKENS)


def states(prompt: str, tokenizer: Tokenizer, network: Network, chunks: int = 1) -> tuple[Array, Array]:
    """The last hidden states and the pooled ones."""

    def read(ids: tuple[int, ...]) -> tuple[Array, ...]:
        answer = network.predict({"input_ids": np.array([ids], np.float32)})
        return answer["last_hidden_state"], answer["pooled_outputs"]

    hidden, pooled = encode(prompt, tokenizer, read, chunks)
    return hidden, pooled


def their_states(text: str, tiny: TinyTorch, tokenizer: Any) -> Tensor:
    """What transformers makes of a plain text: (1, T, D)."""
    ids = tokenizer(text, padding="max_length", truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        return torch.as_tensor(tiny.text_encoder(ids).last_hidden_state)


def their_weighted(text: str, weights: list[float], tiny: TinyTorch, tokenizer: Any) -> Tensor:
    """Its words moved away from the empty prompt, or towards it."""
    plain, empty = their_states(text, tiny, tokenizer), their_states("", tiny, tokenizer)
    spread = torch.ones(TOKENS, 1)
    spread[1 : 1 + len(weights), 0] = torch.tensor(weights)
    return empty + spread * (plain - empty)


def test_without_weights_nothing_is_touched(tokenizer: Tokenizer, network: Network) -> None:
    ids = np.array([tokenizer.encode("a red apple").ids], np.float32)
    answer = network.predict({"input_ids": ids})
    for prompt in ("a red apple", "a (red:1.0) apple"):
        hidden, pooled = states(prompt, tokenizer, network)
        assert np.array_equal(hidden, answer["last_hidden_state"])
        assert np.array_equal(pooled, answer["pooled_outputs"])


@pytest.mark.parametrize(
    ("prompt", "text", "weights"),
    [
        ("a (red:1.4) apple", "a red apple", [1, 1.4, 1]),
        ("a ((red)) [apple]", "a red apple", [1, 1.21, 1 / 1.1]),
        ("(a red:0) (apple:-1.5)", "a red apple", [0, 0, -1.5]),
        ("(" + LONG + ":2)", LONG, [2] * (TOKENS - 2)),
    ],
)
def test_weights_move_words_from_the_empty_prompt(
    prompt: str,
    text: str,
    weights: list[float],
    tokenizer: Tokenizer,
    network: Network,
    tiny_torch: TinyTorch,
    their_tokenizer: Any,
) -> None:
    hidden, pooled = states(prompt, tokenizer, network)
    expected = their_weighted(text, weights, tiny_torch, their_tokenizer)
    assert np.abs(hidden - expected.numpy()).max() < 1e-5
    assert np.array_equal(pooled, states(text, tokenizer, network)[1])


def test_chunks_lie_side_by_side(
    tokenizer: Tokenizer, network: Network, tiny_torch: TinyTorch, their_tokenizer: Any
) -> None:
    words = LONG.split()
    prompt = " ".join(words[:14]) + f" ({words[14]}:1.3) " + " ".join(words[15:20]) + " BREAK pear"
    hidden, pooled = states(prompt, tokenizer, network, chunks=4)
    expected = [
        their_states(" ".join(words[:14]), tiny_torch, their_tokenizer),
        their_weighted(" ".join(words[14:20]), [1.3], tiny_torch, their_tokenizer),
        their_states("pear", tiny_torch, their_tokenizer),
        their_states("", tiny_torch, their_tokenizer),
    ]
    assert np.abs(hidden - torch.cat(expected, dim=1).numpy()).max() < 1e-5
    assert np.array_equal(pooled, states(" ".join(words[:14]), tokenizer, network)[1])


@pytest.fixture(scope="module")
def long_pipeline(
    tiny_bundle_fp32: Path, tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """The tiny model with a UNet that reads two chunks."""
    source = unet_source(tiny_torch.unet, Shape(LATENT, LATENT, 2 * TOKENS))
    bundle = variant(tiny_bundle_fp32, tmp_path_factory.mktemp("models") / "long", {"unet": source})
    pipeline = Pipeline(Bundle.open(bundle), "cpu-only", "fp32")
    yield pipeline
    pipeline.close()


def their_picture(tiny: TinyTorch, request: GenerationRequest, positive: Tensor, negative: Tensor) -> Any:
    """The picture that diffusers makes of these embeddings."""
    assert request.seed is not None
    pipeline = StableDiffusionPipeline(
        vae=tiny.vae,
        text_encoder=None,
        tokenizer=None,
        unet=tiny.unet,
        scheduler=DPMSolverMultistepScheduler.from_config(SCHEDULER_CONFIG),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt_embeds=positive,
        negative_prompt_embeds=negative,
        num_inference_steps=request.steps,
        generator=torch.Generator().manual_seed(request.seed),
    ).images[0]


def decibels(ours: Any, theirs: Any) -> float:
    return psnr(np.asarray(theirs, np.float32), np.asarray(ours, np.float32))


def test_a_weighted_picture(
    pipeline: Pipeline, request_: GenerationRequest, tiny_torch: TinyTorch, their_tokenizer: Any
) -> None:
    request = request_.replace(prompt="a (red:1.6) apple", negative_prompt="(pear:0.5)")
    theirs = their_picture(
        tiny_torch,
        request,
        their_weighted("a red apple", [1, 1.6], tiny_torch, their_tokenizer),
        their_weighted("pear", [0.5], tiny_torch, their_tokenizer),
    )
    picture = pipeline.generate(request).image
    assert decibels(picture, theirs) >= 50
    assert decibels(pipeline.generate(request.replace(prompt="a red apple")).image, theirs) < 50


def test_a_long_picture(
    long_pipeline: Pipeline, request_: GenerationRequest, tiny_torch: TinyTorch, their_tokenizer: Any
) -> None:
    request = request_.replace(prompt=LONG, negative_prompt="pear")
    words = LONG.split()
    theirs = their_picture(
        tiny_torch,
        request,
        torch.cat(
            [their_states(" ".join(part), tiny_torch, their_tokenizer) for part in (words[:14], words[14:])],
            dim=1,
        ),
        torch.cat([their_states(text, tiny_torch, their_tokenizer) for text in ("pear", "")], dim=1),
    )
    assert decibels(long_pipeline.generate(request).image, theirs) >= 50
    short = long_pipeline.generate(request.replace(prompt=" ".join(words[:14]))).image
    assert decibels(short, theirs) < 50


def test_words_that_do_not_fit_are_told(
    pipeline: Pipeline, long_pipeline: Pipeline, request_: GenerationRequest
) -> None:
    request = request_.replace(prompt=LONG, negative_prompt="(pear:1.2) " * 15, steps=1)
    told: list[PipelineEvent] = []
    pipeline.generate(request, told.append)
    long_pipeline.generate(request, told.append)
    assert [event for event in told if isinstance(event, Encoding)] == [
        Encoding(
            "the prompt is cut off after 14 tokens: red apple on a blue pear; "
            "the negative prompt is cut off after 14 tokens: pear"
        ),
        Encoding(""),
    ]


def test_a_picture_with_clip_skip(
    pipeline: Pipeline, request_: GenerationRequest, tiny_torch: TinyTorch, their_tokenizer: Any
) -> None:
    """diffusers' own argument fails with transformers 5, which moved the norm; this is what it did."""

    def skipped(text: str) -> Tensor:
        ids = their_tokenizer(text, padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            hidden = tiny_torch.text_encoder(ids, output_hidden_states=True).hidden_states[-2]
            return torch.as_tensor(tiny_torch.text_encoder.final_layer_norm(hidden))

    request = request_.replace(clip_skip=1, negative_prompt="pear")
    theirs = their_picture(tiny_torch, request, skipped(request.prompt), skipped("pear"))
    assert decibels(pipeline.generate(request).image, theirs) >= 50
    assert decibels(pipeline.generate(request.replace(clip_skip=0)).image, theirs) < 50


def test_what_the_text_encoder_does_not_give_is_refused_before_it_is_loaded(
    tiny_bundle_fp32: Path, request_: GenerationRequest, tmp_path: Path
) -> None:
    whole = Bundle.open(tiny_bundle_fp32)
    with pytest.raises(DiffusionError, match=r"cannot leave out 2 of .*, it has been converted for one, set"):
        check(request_.replace(clip_skip=2), whole)
    manifest = msgspec.structs.replace(whole.manifest, family="sdxl")
    with pytest.raises(
        DiffusionError, match=r"cannot leave out 1 .*, its family reads the last layer but one"
    ):
        check_prompts(request_.replace(clip_skip=1), Bundle(whole.path, manifest))
    manifest = msgspec.structs.replace(whole.manifest, token_length=TOKENS - 1)
    with pytest.raises(
        DiffusionError, match=f"its UNet takes {TOKENS} tokens, .* gives {TOKENS - 1} at a time"
    ):
        check(request_, Bundle(whole.path, manifest))
    source = Source(
        "text_encoder", _Plain(), ({"input_ids": np.zeros((1, TOKENS), np.float32)},), ("last_hidden_state",)
    )
    plain = Bundle.open(variant(tiny_bundle_fp32, tmp_path / "plain", {"text_encoder": source}))
    with pytest.raises(
        DiffusionError, match=r"it has only what comes after all of them, .*convert the model again"
    ):
        check(request_.replace(clip_skip=1), plain)


class _Plain(torch.nn.Module):
    """A text encoder as others export it."""

    def forward(self, input_ids: Tensor) -> Tensor:
        return input_ids[:, :, None] * torch.ones(16)
