"""One request, one picture, always the same one; stopped when asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageChops

from sdtui.bundle import Bundle, BundleError, locate
from sdtui.convert.accuracy import psnr
from sdtui.convert.network import convert_network
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.unet import unet as unet_source
from sdtui.diffusion.errors import Cancelled, DiffusionError
from sdtui.diffusion.events import Decoding, Encoding, Loading, PipelineEvent, Step
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from sdtui.runtime import NetworkError
from tests.tiny import LATENT, TOKENS, TinyTorch


def test_the_same_request_gives_the_same_bytes(pipeline: Pipeline, request_: GenerationRequest) -> None:
    first = pipeline.generate(request_)
    again = Pipeline(Bundle.open(locate(first.request.model)), "cpu-only", "fp32")
    sent = GenerationRequest.from_json(first.request.to_json())
    second = again.generate(sent)
    again.close()
    assert second.image.tobytes() == first.image.tobytes()
    assert second.request == first.request == sent


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"prompt": "green pear"},
        {"negative_prompt": "blue"},
        {"steps": 5},
        {"guidance_scale": 3.0},
        {"scheduler": "euler-a"},
        {"rng": "numpy"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_field_shows(
    changes: dict[str, object], pipeline: Pipeline, request_: GenerationRequest
) -> None:
    first, other = pipeline.generate(request_), pipeline.generate(request_.replace(**changes))
    assert ImageChops.difference(first.image, other.image).getbbox()


def test_without_guidance_the_negative_prompt_is_not_asked(
    pipeline: Pipeline, request_: GenerationRequest
) -> None:
    plain = request_.replace(guidance_scale=1.0)
    first = pipeline.generate(plain)
    assert pipeline.generate(plain.replace(negative_prompt="blue")).image == first.image


def test_a_picture_says_how_it_was_made(pipeline: Pipeline, request_: GenerationRequest) -> None:
    picture = pipeline.generate(request_)
    assert picture.image.mode == "RGB"
    assert picture.image.size == (64, 64)
    assert (picture.request.width, picture.request.height) == (64, 64)
    assert picture.request.model == str(pipeline.bundle.path)
    assert (picture.model, picture.model_hash) == ("tiny-fp32", pipeline.bundle.hash)
    assert picture.runtime == "portable fp32"
    seconds = picture.seconds
    assert min(seconds.text, seconds.denoise, seconds.decode) > 0
    assert seconds.total >= seconds.load + seconds.text + seconds.denoise + seconds.decode - 1e-9


def test_events_tell_the_whole_story(tiny_bundle_fp32: Path, request_: GenerationRequest) -> None:
    cold = Pipeline(Bundle.open(tiny_bundle_fp32), "cpu-only", "fp32")
    events: list[PipelineEvent] = []
    assert cold.generate(request_, events.append).seconds.load > 0
    assert events[:4] == [
        Loading("text_encoder", 1, 3),
        Loading("unet", 2, 3),
        Loading("vae_decoder", 3, 3),
        Encoding(),
    ]
    steps = [event for event in events[4:-1] if isinstance(event, Step)]
    assert [(step.index, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [step.elapsed for step in steps] == sorted(step.elapsed for step in steps)
    for step in steps:
        assert step.preview is not None
        assert (step.preview.width, step.preview.height) == (LATENT, LATENT)
        assert len(step.preview.rgb) == LATENT * LATENT * 3
    assert len({step.preview.rgb for step in steps if step.preview}) == 4
    assert events[-1] == Decoding()

    events.clear()
    assert cold.warm
    assert cold.generate(request_, events.append).seconds.load == 0
    assert events[0] == Encoding()
    cold.close()
    assert not cold.warm


@pytest.mark.parametrize("step", [1, 3])
def test_cancel_stops_before_the_next_step(
    step: int, pipeline: Pipeline, request_: GenerationRequest
) -> None:
    events: list[PipelineEvent] = []
    with pytest.raises(Cancelled):
        pipeline.generate(
            request_.replace(steps=9),
            events.append,
            lambda: any(isinstance(event, Step) and event.index == step for event in events),
        )
    assert [event.index for event in events if isinstance(event, Step)] == list(range(1, step + 1))
    assert pipeline.generate(request_).image  # and the next picture is made


def test_cancel_stops_a_load(tiny_bundle_fp32: Path, request_: GenerationRequest) -> None:
    cold = Pipeline(Bundle.open(tiny_bundle_fp32), "cpu-only", "fp32")
    events: list[PipelineEvent] = []
    with pytest.raises(Cancelled):
        cold.generate(request_, events.append, lambda: len(events) == 2)
    assert events == [Loading("text_encoder", 1, 3), Loading("unet", 2, 3)]
    assert not cold.warm


def test_another_size_is_refused(pipeline: Pipeline, request_: GenerationRequest) -> None:
    with pytest.raises(DiffusionError) as refusal:
        pipeline.generate(request_.replace(width=128))
    assert str(refusal.value) == (
        "tiny-fp32 cannot make 128 x 64 pixels, it has one size, 64 x 64, "
        "ask for that size or choose another model"
    )
    assert pipeline.generate(request_.replace(width=64, height=64)).image


def test_requests_for_another_pipeline_are_a_mistake(pipeline: Pipeline, request_: GenerationRequest) -> None:
    for wrong in (
        request_.replace(precision="bf16"),
        request_.replace(compute_units="all"),
        request_.replace(count=2),
        request_.replace(seed=None),
    ):
        with pytest.raises(ValueError, match=r"one seed|other compute units"):
            pipeline.generate(wrong)


def test_a_truncated_network(tiny_bundle: Path, tmp_path: Path, request_: GenerationRequest) -> None:
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    model = next((copy / "Unet.mlpackage").rglob("model.mlmodel"))
    model.write_bytes(model.read_bytes()[:-1000])
    broken = Pipeline(Bundle.open(copy), "cpu-only", "fp32")
    with pytest.raises(NetworkError):
        broken.generate(request_)
    assert not broken.warm


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_broken_scheduler_settings(
    text: str, tiny_bundle: Path, tmp_path: Path, request_: GenerationRequest
) -> None:
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    (copy / "scheduler_config.json").write_text(text)
    with pytest.raises(BundleError, match="the scheduler settings of tiny"):
        Pipeline(Bundle.open(copy), "cpu-only", "fp32").generate(request_)


@pytest.fixture(scope="module")
def one_by_one(
    tiny_torch: TinyTorch, tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """The float32 model with a UNet of batch 1."""
    copy = shutil.copytree(tiny_bundle_fp32, tmp_path_factory.mktemp("models") / "one")
    unet = unet_source(tiny_torch.unet, Shape(LATENT, LATENT, TOKENS, batch=1))
    shutil.rmtree(copy / "Unet.mlpackage")
    convert_network(unet, copy / "Unet.mlpackage", precision="fp32")
    pipeline = Pipeline(Bundle.open(copy), "cpu-only", "fp32")
    yield pipeline
    pipeline.close()


@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
def test_a_unet_of_batch_one_makes_the_same_picture(
    guidance_scale: float, pipeline: Pipeline, one_by_one: Pipeline, request_: GenerationRequest
) -> None:
    request = request_.replace(guidance_scale=guidance_scale, negative_prompt="blue")
    both = [np.asarray(each.generate(request).image, np.float32) for each in (pipeline, one_by_one)]
    assert psnr(*both) >= 50


def test_float16_weights_make_nearly_the_same_picture(
    pipeline: Pipeline, tiny_bundle: Path, request_: GenerationRequest
) -> None:
    half = Pipeline(Bundle.open(tiny_bundle), "cpu-only", "fp32")
    both = [np.asarray(each.generate(request_).image, np.float32) for each in (pipeline, half)]
    half.close()
    assert psnr(*both) >= 40


def test_a_model_without_preview_colours(
    tiny_bundle: Path, tmp_path: Path, request_: GenerationRequest
) -> None:
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    manifest = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**manifest, "preview": None}))
    plain = Pipeline(Bundle.open(copy), "cpu-only", "fp32")
    events: list[PipelineEvent] = []
    plain.generate(request_, events.append)
    plain.close()
    assert {event.preview for event in events if isinstance(event, Step)} == {None}
