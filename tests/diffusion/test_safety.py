"""What the safety checker sees, finds, and what becomes of the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from sdtui.bundle import Bundle
from sdtui.cli.progress import report_on
from sdtui.convert.network import convert_network
from sdtui.convert.networks.safety import safety_checker
from sdtui.diffusion.events import Blocked, Decoding, Loading, PipelineEvent
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.safety import as_clip_sees, shows_unsafe
from sdtui.engine.protocol import Memory, Progress
from sdtui.request import GenerationRequest
from sdtui.runtime import Network, load_network
from tests.convert import architectures
from tests.diffusion.variants import variant

SIZE = 32
"""What the tiny checker sees along one side."""


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Blots of colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@given(width=st.integers(16, 400), height=st.integers(16, 400))
@settings(max_examples=30)
def test_clip_sees_what_transformers_shows_it(width: int, height: int) -> None:
    image = picture(width, height, seed=0)
    expected = CLIPImageProcessorPil()(image, return_tensors="np")["pixel_values"]
    assert_allclose(as_clip_sees(image, 224), expected, atol=1e-5)


@pytest.fixture(scope="module")
def torch_checker() -> StableDiffusionSafetyChecker:
    """A checker whose limits are such that of some pictures it finds the half."""
    checker = architectures.safety_checker()
    with torch.no_grad():
        seen = torch.cat([torch.from_numpy(as_clip_sees(picture(64, 48, seed), SIZE)) for seed in range(8)])
        images = checker.visual_projection(checker.vision_model(seen)[1])
        cosines = torch.nn.functional.cosine_similarity(images[:, None], checker.concept_embeds[None], dim=2)
        checker.concept_embeds_weights.fill_(float(cosines.amax(1).median()) + 1e-3)
    return checker


@pytest.fixture(scope="module")
def checker(
    torch_checker: StableDiffusionSafetyChecker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    package = tmp_path_factory.mktemp("safety") / "SafetyChecker.mlpackage"
    convert_network(safety_checker(torch_checker, 48, 64), package)
    network = load_network(package, "cpu-only", "fp32")
    yield network
    network.close()


@torch.no_grad()
def test_it_finds_what_diffusers_finds(checker: Network, torch_checker: StableDiffusionSafetyChecker) -> None:
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    found = []
    for seed in range(8):
        image = picture(64, 48, seed)
        given = processor(image, return_tensors="pt")["pixel_values"]
        _, expected = torch_checker(given, [np.asarray(image)])
        assert shows_unsafe(image, checker) == expected[0]
        found.append(expected[0])
    assert 0 < sum(found) < 8


def test_a_picture_of_another_size_is_checked_too(checker: Network) -> None:
    found = [shows_unsafe(picture(64, 48, seed), checker) for seed in range(8)]
    larger = [shows_unsafe(picture(64, 48, seed).resize((640, 480)), checker) for seed in range(8)]
    assert sum(first == second for first, second in zip(found, larger, strict=True)) >= 7


@pytest.fixture(scope="module")
def strict(tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The tiny model with a checker that finds something in every picture."""
    checker = architectures.safety_checker()
    checker.concept_embeds_weights.data.fill_(-1)
    output = tmp_path_factory.mktemp("models") / "strict"
    variant(tiny_bundle_fp32, output, {"safety_checker": safety_checker(checker, 64, 64)})
    pipeline = Pipeline(Bundle.open(output), "cpu-only", "fp32")
    yield pipeline
    pipeline.close()


def test_a_blocked_picture_is_black_and_told(
    strict: Pipeline, pipeline: Pipeline, request_: GenerationRequest
) -> None:
    events: list[PipelineEvent] = []
    picture = strict.generate(request_, events.append)
    assert events[-3:] == [Decoding(), Loading("safety_checker", 4, 4), Blocked()] or events[-2:] == [
        Decoding(),
        Blocked(),
    ]
    assert picture.image.size == (64, 64)
    assert picture.image.getextrema() == ((0, 0),) * 3
    shown = strict.generate(picture.request.replace(safety_checker=False))
    assert shown.image.tobytes() == pipeline.generate(request_).image.tobytes()


def test_a_picture_that_shows_nothing_of_the_kind_is_left_alone(
    tiny_bundle_fp32: Path, tmp_path: Path, pipeline: Pipeline, request_: GenerationRequest
) -> None:
    mild = variant(
        tiny_bundle_fp32,
        tmp_path / "mild",
        {"safety_checker": safety_checker(architectures.safety_checker(), 64, 64)},
    )
    events: list[PipelineEvent] = []
    checked = Pipeline(Bundle.open(mild), "cpu-only", "fp32")
    picture = checked.generate(request_, events.append)
    checked.close()
    assert Loading("safety_checker", 4, 4) in events
    assert picture.image.tobytes() == pipeline.generate(request_).image.tobytes()
    assert Blocked() not in events


def test_the_command_line_says_why_a_picture_is_black(capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress("job", Blocked(), Memory(0, 0, 0, 0))
    with report_on(["job"], as_json=False) as report:
        report.hear(told)
    assert capsys.readouterr().err.startswith("note: the safety checker found something")
    with report_on(["job"], as_json=True) as report:
        report.hear(told)
    assert json.loads(capsys.readouterr().err)["event"] == "blocked"
