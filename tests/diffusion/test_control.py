"""ControlNets steer a picture as in diffusers' own ControlNet pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from sdtui.bundle import Bundle
from sdtui.diffusion.pictures.opening import PictureError
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import Control, GenerationRequest, Scheduler
from tests.diffusion.pictured import controlling, decibels, drawing, photo, right_half, save
from tests.diffusion.variants import (
    CONTROLNETS,
    control_variant,
    inpainting_control_variant,
    tiny_unet,
    with_manifest,
)
from tests.tiny import CHANNELS, TinyTorch

EDGES, POSE = photo(1), photo(2)
WEIGHTS = {
    "controlnet_conditioning_scale": [0.8, 0.5],
    "control_guidance_start": [0.0, 0.3],
    "control_guidance_end": [0.7, 1.0],
}
"""What :func:`wanted` says, as diffusers is told it."""


@pytest.fixture(scope="module")
def controlled(tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A model with two ControlNets."""
    bundle = control_variant(tiny_bundle_fp32, tmp_path_factory.mktemp("models") / "controlled")
    pipeline = Pipeline(Bundle.open(bundle), "cpu-only", "fp32")
    yield pipeline
    pipeline.close()


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    return save(tmp_path, edges=EDGES, pose=POSE, image=photo(), mask=right_half())


@pytest.fixture
def wanted(request_: GenerationRequest, paths: dict[str, str]) -> GenerationRequest:
    """A picture that follows edges, and a pose half as much in the middle of the steps."""
    edges = Control(name="edges", image=paths["edges"], weight=0.8, end=0.7)
    pose = Control(name="pose", image=paths["pose"], weight=0.5, start=0.3)
    return request_.replace(controls=(edges, pose), negative_prompt="green pear", steps=5)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++2m", "euler-a"])
def test_one(
    scheduler: Scheduler,
    controlled: Pipeline,
    tiny_torch: TinyTorch,
    wanted: GenerationRequest,
    paths: dict[str, str],
) -> None:
    request = wanted.replace(scheduler=scheduler, controls=(Control(name="edges", image=paths["edges"]),))
    theirs = controlling(tiny_torch, tiny_unet(), CONTROLNETS[:1])
    assert decibels(controlled, theirs, request, image=[EDGES]) >= 50


@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
def test_several_with_weights_start_and_end(
    guidance_scale: float, controlled: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest
) -> None:
    request = wanted.replace(scheduler="ddim", guidance_scale=guidance_scale)
    theirs = controlling(tiny_torch, tiny_unet(), CONTROLNETS)
    assert decibels(controlled, theirs, request, image=[EDGES, POSE], **WEIGHTS) >= 50


def test_together_with_a_picture_to_start_from(
    controlled: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest, paths: dict[str, str]
) -> None:
    request = wanted.replace(image=paths["image"], strength=0.6)
    theirs = controlling(tiny_torch, tiny_unet(), CONTROLNETS, "img2img")
    assert (
        decibels(
            controlled, theirs, request, image=photo(), control_image=[EDGES, POSE], strength=0.6, **WEIGHTS
        )
        >= 50
    )


def test_together_with_a_mask(
    controlled: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest, paths: dict[str, str]
) -> None:
    request = wanted.replace(image=paths["image"], mask=paths["mask"], strength=1.0)
    theirs = controlling(tiny_torch, tiny_unet(), CONTROLNETS, "inpaint")
    pictures = {"image": photo(), "mask_image": right_half(), "control_image": [EDGES, POSE]}
    assert decibels(controlled, theirs, request, strength=1.0, **pictures, **WEIGHTS) >= 50


def test_together_with_an_inpainting_model(
    controlled: Pipeline,
    tiny_torch: TinyTorch,
    wanted: GenerationRequest,
    paths: dict[str, str],
    tmp_path: Path,
) -> None:
    """ControlNets are shown the latents alone, the UNet the mask and what it does not hide too."""
    painter = Pipeline(
        Bundle.open(inpainting_control_variant(controlled.bundle.path, tmp_path / "painter")),
        "cpu-only",
        "fp32",
    )
    request = wanted.replace(image=paths["image"], mask=paths["mask"], strength=1.0)
    theirs = controlling(tiny_torch, tiny_unet(2 * CHANNELS + 1), CONTROLNETS, "inpaint")
    pictures = {"image": photo(), "mask_image": right_half(), "control_image": [EDGES, POSE]}
    with closing(painter):
        assert decibels(painter, theirs, request, strength=1.0, **pictures, **WEIGHTS) >= 50


def test_a_model_that_has_no_other_unet_does_without_controls(
    controlled: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest, tmp_path: Path
) -> None:
    networks = dict(controlled.bundle.manifest.networks)
    del networks["unet"]
    alone = with_manifest(controlled.bundle.path, tmp_path / "alone", networks=networks)
    with closing(Pipeline(Bundle.open(alone), "cpu-only", "fp32")) as pipeline:
        theirs = drawing(tiny_torch, tiny_unet())
        assert decibels(pipeline, theirs, wanted.replace(controls=(), scheduler="ddim")) >= 50


def test_files_that_are_no_pictures(
    controlled: Pipeline, wanted: GenerationRequest, paths: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("an apple")
    for name, why in (("text.png", "not a picture"), ("absent.png", "no such file")):
        edges = Control(name="edges", image=paths["edges"])
        pose = Control(name="pose", image=str(tmp_path / name))
        with pytest.raises(PictureError, match=f"the picture for pose cannot be used, .*{why}"):
            controlled.generate(wanted.replace(controls=(edges, pose)))


def test_a_control_without_weight_or_time_is_none(controlled: Pipeline, wanted: GenerationRequest) -> None:
    def made(**changes: Any) -> Any:
        edges = msgspec.structs.replace(wanted.controls[0], **changes)
        return np.asarray(controlled.generate(wanted.replace(controls=(edges,))).image, int)

    without = made(weight=0.0)
    assert np.array_equal(made(start=0.9, end=0.95), without)
    assert np.abs(made(weight=0.3) - without).mean() > 1
    assert np.abs(made(weight=0.6) - made(weight=0.3)).mean() > 1
