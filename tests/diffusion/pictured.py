"""Pictures for tests to start from, and diffusers' pipelines that start from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    PNDMScheduler,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTokenizer

from sdtui.convert.accuracy import psnr
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from tests.diffusion.schedulers import STEP_OPTIONS, theirs
from tests.diffusion.variants import tiny_controlnet
from tests.tiny import PIXELS, SCHEDULER_CONFIG, TOKENS, TinyTorch


def photo(seed: int = 0, size: tuple[int, int] = (PIXELS, PIXELS)) -> Image.Image:
    """A picture with large soft shapes and a little noise, another one for each seed."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    noise = random.normal(0, 4, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(shapes) + noise, 0, 255).astype(np.uint8))


def right_half(size: tuple[int, int] = (PIXELS, PIXELS)) -> Image.Image:
    """A mask that has the right half painted, with a soft edge."""
    ramp = np.clip((np.arange(size[0]) - size[0] / 2) * 40 + 128, 0, 255).astype(np.uint8)
    return Image.fromarray(np.tile(ramp, (size[1], 1)))


def save(folder: Path, **pictures: Image.Image) -> dict[str, str]:
    """The pictures as PNG files in ``folder``; their paths by name."""
    paths = {}
    for name, picture in pictures.items():
        paths[name] = str(folder / f"{name}.png")
        picture.save(paths[name])
    return paths


def inpainting(tiny: TinyTorch, unet: UNet2DConditionModel) -> Any:
    """diffusers' inpainting pipeline of the tiny model with this UNet."""
    return _quiet(StableDiffusionInpaintPipeline(**_parts(tiny, unet)))


def drawing(tiny: TinyTorch, unet: UNet2DConditionModel | None = None) -> Any:
    """diffusers' pipeline from text, of the tiny model or with another UNet."""
    return _quiet(StableDiffusionPipeline(**_parts(tiny, unet or tiny.unet)))


def repainting(tiny: TinyTorch) -> Any:
    """diffusers' pipeline from a picture."""
    return _quiet(StableDiffusionImg2ImgPipeline(**_parts(tiny, tiny.unet)))


def controlling(
    tiny: TinyTorch, unet: UNet2DConditionModel, names: Sequence[str], task: str = "txt2img"
) -> Any:
    """diffusers' ControlNet pipeline for ``txt2img``, ``img2img`` or ``inpaint``."""
    pipeline = {
        "txt2img": StableDiffusionControlNetPipeline,
        "img2img": StableDiffusionControlNetImg2ImgPipeline,
        "inpaint": StableDiffusionControlNetInpaintPipeline,
    }[task]
    networks = [tiny_controlnet(name) for name in names]
    return _quiet(pipeline(**_parts(tiny, unet), controlnet=networks))


def expected(reference: Any, request: GenerationRequest, **pictures: Any) -> Image.Image:
    """What diffusers' pipeline ``reference`` makes of ``request`` and pictures under its own names."""
    reference.scheduler = theirs(request.scheduler, SCHEDULER_CONFIG)
    return drawn(reference, request, **pictures)


def drawn(reference: Any, request: GenerationRequest, **pictures: Any) -> Image.Image:
    """The same with the scheduler that ``reference`` has."""
    assert request.seed is not None
    image: Image.Image = reference(
        request.prompt,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        **pictures,
        **STEP_OPTIONS.get(request.scheduler, {}),
    ).images[0]
    return image


def decibels(ours: Pipeline, reference: Any, request: GenerationRequest, **pictures: Any) -> float:
    """PSNR in dB between our picture of ``request`` and that of diffusers' pipeline ``reference``."""
    return likeness(expected(reference, request, **pictures), ours.generate(request).image)


def likeness(one: Image.Image, other: Image.Image) -> float:
    """PSNR in dB between two pictures of 8 bits."""
    assert one.size == other.size
    return psnr(np.asarray(one, np.float32), np.asarray(other, np.float32))


def _parts(tiny: TinyTorch, unet: UNet2DConditionModel) -> dict[str, Any]:
    return {
        "vae": tiny.vae,
        "text_encoder": tiny.text_encoder,
        "tokenizer": CLIPTokenizer.from_pretrained(str(tiny.tokenizer), model_max_length=TOKENS),
        "unet": unet,
        "scheduler": PNDMScheduler.from_config(SCHEDULER_CONFIG),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
