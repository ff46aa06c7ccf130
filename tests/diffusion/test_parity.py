"""The same weights, prompt and seed give the picture that diffusers' own pipeline gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

from sdtui.convert.accuracy import psnr
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest, Scheduler
from tests.diffusion import schedulers
from tests.diffusion.schedulers import DIFFUSING, STEP_OPTIONS
from tests.tiny import SCHEDULER_CONFIG, TOKENS, TinyTorch


@pytest.fixture(scope="module")
def theirs(tiny_torch: TinyTorch) -> Any:
    pipeline = StableDiffusionPipeline(
        vae=tiny_torch.vae,
        text_encoder=tiny_torch.text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(str(tiny_torch.tokenizer), model_max_length=TOKENS),
        unet=tiny_torch.unet,
        scheduler=PNDMScheduler.from_config(SCHEDULER_CONFIG),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def decibels(ours: Pipeline, theirs: Any, request: GenerationRequest) -> float:
    """PSNR in dB between the 8-bit pictures of both."""
    assert request.seed is not None
    theirs.scheduler = schedulers.theirs(request.scheduler, SCHEDULER_CONFIG)
    reference = theirs(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        **STEP_OPTIONS.get(request.scheduler, {}),
    ).images[0]
    picture = ours.generate(request).image
    assert picture.size == reference.size
    return psnr(np.asarray(reference, np.float32), np.asarray(picture, np.float32))


@pytest.mark.parametrize("scheduler", DIFFUSING)
@pytest.mark.parametrize("steps", [1, 6])
def test_every_scheduler(
    scheduler: Scheduler, steps: int, pipeline: Pipeline, theirs: Any, request_: GenerationRequest
) -> None:
    request = request_.replace(scheduler=scheduler, steps=steps, negative_prompt="green pear")
    assert decibels(pipeline, theirs, request) >= 50


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0, 1.5, 12.0])
def test_every_strength_of_guidance(
    guidance_scale: float, pipeline: Pipeline, theirs: Any, request_: GenerationRequest
) -> None:
    request = request_.replace(guidance_scale=guidance_scale, negative_prompt="blue background")
    assert decibels(pipeline, theirs, request) >= 50


def test_a_prompt_that_does_not_fit(pipeline: Pipeline, theirs: Any, request_: GenerationRequest) -> None:
    request = request_.replace(prompt="a photo of the lighthouse on a blue background " * 3)
    assert decibels(pipeline, theirs, request) >= 50
