"""Beside the model: a LoRA for a style that it was not trained on, pixel art."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch.nn import functional

from sdtui.starter import loop
from sdtui.starter.config import StyleConfig
from sdtui.starter.sampling import denoiser
from sdtui.starter.train_unet import Material, load_unet, spread_timesteps, velocity_loss

FILE = "pixel-art.safetensors"
"""The finished LoRA in the working folder, as diffusers writes it."""
WORDS = "pixel art"
"""What a caption says to ask for the style."""
_BLOCK = 4
_SHADES = 6


def pixelated(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, h, w) in -1..1 in blocks of 4 px and few shades."""
    small = functional.avg_pool2d(pictures, _BLOCK)
    shades = ((small + 1.0) * (_SHADES / 2)).round() / (_SHADES / 2) - 1.0
    return functional.interpolate(shades, scale_factor=_BLOCK, mode="nearest")


def train_style(work: Path, config: StyleConfig) -> None:
    """Train, or go on; at the end the LoRA is written to ``pixel-art.safetensors``."""
    torch.manual_seed(config.seed)
    material = Material(work)
    unet = load_unet(work)
    unet.add_adapter(
        LoraConfig(
            r=config.rank,
            lora_alpha=config.rank,
            init_lora_weights="gaussian",
            target_modules=["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2"],
        )
    )

    def loss(_step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        drawn = material.rendered(config.batch, generator, pixelated)
        chosen = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
        texts = [f"{material.grammar.caption(scene, chosen).text}, {WORDS}" for scene in drawn.scenes]
        noise = torch.randn(drawn.latents.shape, generator=generator)
        timesteps = spread_timesteps(config.batch, generator)
        states = material.words(texts)
        error = velocity_loss(denoiser(unet), drawn.latents, states, timesteps, noise).mean()
        return error, {"loss": error.item()}

    schedule = loop.Schedule(config.steps, config.learning_rate)
    loop.run(loop.Stage("style", {"model": unet}, schedule, loss, weight_decay=0.0, seed=config.seed), work)
    StableDiffusionPipeline.save_lora_weights(
        work, unet_lora_layers=get_peft_model_state_dict(unet), weight_name=FILE
    )
