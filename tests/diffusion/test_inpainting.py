"""Painting a part of a picture gives what diffusers' own inpainting pipelines give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sdtui.bundle import Bundle
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.pictures.canvas import margin_mask, outpainted
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest, Scheduler
from tests.diffusion.pictured import decibels, inpainting, photo, right_half, save
from tests.diffusion.variants import inpainting_variant, tiny_unet
from tests.tiny import CHANNELS, PIXELS, TinyTorch

PHOTO, MASK = photo(), right_half()


@pytest.fixture(scope="module")
def painter(tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """An inpainting model, whose UNet has a batch of 1."""
    bundle = inpainting_variant(tiny_bundle_fp32, tmp_path_factory.mktemp("models") / "painter", batch=1)
    pipeline = Pipeline(Bundle.open(bundle), "cpu-only", "fp32")
    yield pipeline
    pipeline.close()


@pytest.fixture
def wanted(request_: GenerationRequest, tmp_path: Path) -> GenerationRequest:
    """The right half of a picture painted anew."""
    paths = save(tmp_path, image=PHOTO, mask=MASK)
    return request_.replace(**paths, negative_prompt="green pear", steps=5)


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("scheduler", ["ddim", "dpm++2m", "euler-a", "heun"])
def test_any_model_inpaints_as_diffusers_has_it(
    scheduler: Scheduler,
    strength: float,
    pipeline: Pipeline,
    tiny_torch: TinyTorch,
    wanted: GenerationRequest,
) -> None:
    request = wanted.replace(scheduler=scheduler, strength=strength)
    theirs = inpainting(tiny_torch, tiny_torch.unet)
    assert decibels(pipeline, theirs, request, image=PHOTO, mask_image=MASK, strength=strength) >= 50


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("scheduler", ["ddim", "euler-a"])
def test_an_inpainting_model_as_diffusers_has_it(
    scheduler: Scheduler, strength: float, painter: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest
) -> None:
    request = wanted.replace(scheduler=scheduler, strength=strength)
    theirs = inpainting(tiny_torch, tiny_unet(2 * CHANNELS + 1))
    assert decibels(painter, theirs, request, image=PHOTO, mask_image=MASK, strength=strength) >= 50


def test_an_inpainting_model_needs_a_picture_and_a_mask(painter: Pipeline, wanted: GenerationRequest) -> None:
    for changes in ({"mask": None}, {"mask": None, "image": None}):
        with pytest.raises(DiffusionError, match=r"painter needs a picture and a mask"):
            painter.generate(wanted.replace(**changes))


@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
def test_outpainting_is_inpainting_of_a_larger_canvas(
    guidance_scale: float, pipeline: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest
) -> None:
    margins = (16, 0, 8, 24)
    canvas = outpainted(PHOTO, PIXELS, PIXELS, margins)
    mask = margin_mask(PIXELS, PIXELS, margins)
    request = wanted.replace(mask=None, outpaint=margins, strength=1.0, guidance_scale=guidance_scale)
    theirs = inpainting(tiny_torch, tiny_torch.unet)
    assert decibels(pipeline, theirs, request, image=canvas, mask_image=mask, strength=1.0) >= 50


def test_what_is_not_masked_stays(pipeline: Pipeline, wanted: GenerationRequest) -> None:
    """Pictures of two seeds differ where they are painted, and not far from there."""
    pictures = []
    for seed in (1, 2):
        made = pipeline.generate(wanted.replace(seed=seed, strength=1.0)).image
        pictures.append(np.asarray(made, int))
    difference = np.abs(pictures[0] - pictures[1]).max(axis=(0, 2))
    assert difference[: PIXELS // 2 - 24].max() < difference[PIXELS // 2 :].max() / 2


def test_a_picture_of_another_size_is_fitted_with_its_mask(
    pipeline: Pipeline, wanted: GenerationRequest, tmp_path: Path
) -> None:
    large = save(
        tmp_path,
        wide=PHOTO.resize((4 * PIXELS, 2 * PIXELS)),
        wide_mask=right_half((4 * PIXELS, 2 * PIXELS)),
        cut=PHOTO.resize((4 * PIXELS, 2 * PIXELS)).crop((PIXELS, 0, 3 * PIXELS, 2 * PIXELS)),
        cut_mask=right_half((4 * PIXELS, 2 * PIXELS)).crop((PIXELS, 0, 3 * PIXELS, 2 * PIXELS)),
    )
    wide = pipeline.generate(wanted.replace(image=large["wide"], mask=large["wide_mask"])).image
    cut = pipeline.generate(wanted.replace(image=large["cut"], mask=large["cut_mask"])).image
    assert np.abs(np.asarray(wide, int) - np.asarray(cut, int)).max() <= 16
