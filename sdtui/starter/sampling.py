"""Drawing with the torch networks, before there is a bundle."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from PIL import Image

from sdtui.starter import device
from sdtui.starter.config import (
    BETA_END,
    BETA_START,
    LATENT_CHANNELS,
    LATENT_SIZE,
    TRAIN_TIMESTEPS,
)

SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
"""What every scheduler of diffusers needs to know of this model."""

Denoise = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Noisy latents (n, 8, 16, 16), timesteps (n,), hidden states (n, 77, width) -> velocity."""


def denoiser(unet: UNet2DConditionModel) -> Denoise:
    """A network as a function, computing in bfloat16."""

    def denoise(noisy: torch.Tensor, timesteps: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        with device.mixed_precision():
            predicted: torch.Tensor = unet(noisy, timesteps, states).sample
        return predicted.float()

    return denoise


@torch.inference_mode()
def sample(
    denoise: Denoise,
    states: torch.Tensor,
    empty: torch.Tensor,
    steps: int,
    guidance_scale: float,
    seed: int,
) -> torch.Tensor:
    """Scaled latents (n, 8, 16, 16) for hidden states (n, 77, width), with DPM++ 2M and guidance."""
    known = inspect.signature(DPMSolverMultistepScheduler).parameters
    scheduler = DPMSolverMultistepScheduler(
        **{key: value for key, value in SCHEDULER.items() if key in known}
    )
    scheduler.set_timesteps(steps)
    latents = torch.randn(
        (len(states), LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE),
        generator=device.generator(seed),
    )
    both = torch.cat([empty.expand_as(states), states])
    for timestep in scheduler.timesteps:
        prediction = denoise(torch.cat([latents, latents]), timestep.expand(len(both)), both)
        free, bound = prediction.chunk(2)
        guided = free + guidance_scale * (bound - free)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    return latents


@torch.inference_mode()
def decode(vae: AutoencoderKL, latents: torch.Tensor, factor: float) -> torch.Tensor:
    """Scaled latents as pictures (n, 3, 128, 128) in -1..1, in main memory."""
    parts = [vae.decode(part / factor).sample for part in torch.split(latents, 16)]
    return torch.cat(parts).clamp(-1.0, 1.0).cpu()


def save_sheet(pictures: torch.Tensor | Sequence[torch.Tensor], path: Path, columns: int = 8) -> None:
    """Lay pictures (3, h, w) in -1..1 out on one sheet."""
    height, width = pictures[0].shape[1:]
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height))
    for index, picture in enumerate(pictures):
        values = ((picture.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        tile = Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())
        sheet.paste(tile, (index % columns * width, index // columns * height))
    sheet.save(path)
