"""A look at the denoiser while it trains: does it draw the subject, on the background?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image
from torch.nn import functional

from sdtui.starter.artwork import composite, palette, prepare
from sdtui.starter.captions import COLOURS
from sdtui.starter.checkpoint import load
from sdtui.starter.config import (
    BETA_END,
    BETA_START,
    LATENT_CHANNELS,
    LATENT_SIZE,
    TOKENS,
    TRAIN_TIMESTEPS,
    ArtworkConfig,
    TextConfig,
    UnetConfig,
)
from sdtui.starter.latents import load_vae
from sdtui.starter.networks import build_unet
from sdtui.starter.train_text import load_text_encoder, token_ids

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


@torch.inference_mode()
def sample(
    denoise: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    states: torch.Tensor,
    empty: torch.Tensor,
    steps: int,
    guidance_scale: float | torch.Tensor,
    seed: int,
) -> torch.Tensor:
    """Latents (n, 16, 8, 8) for hidden states (n, 77, width), with DPM++ 2M and guidance."""
    known = inspect.signature(DPMSolverMultistepScheduler).parameters
    scheduler = DPMSolverMultistepScheduler(
        **{key: value for key, value in SCHEDULER.items() if key in known}
    )
    scheduler.set_timesteps(steps)
    latents = torch.randn(
        (len(states), LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE),
        generator=torch.Generator().manual_seed(seed),
    )
    both = torch.cat([empty.expand_as(states), states])
    for timestep in scheduler.timesteps:
        prediction = denoise(torch.cat([latents, latents]), timestep.expand(len(both)), both)
        free, bound = prediction.chunk(2)
        guided = free + guidance_scale * (bound - free)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    return latents


def nearest_subjects(pictures: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """For pictures (n, 3, 64, 64), which of the references (n, subjects, variants, 3, 32, 32) is nearest.

    The distance is Euclidean, over pixels at half size. Returns subject numbers (n,).
    """
    small = functional.avg_pool2d(pictures, 2).flatten(1)
    distance = (references.flatten(3) - small[:, None, None]).square().sum(3)
    return distance.amin(2).argmin(1)


class Trial:
    """Draws a few dozen subjects and looks for each among the training pictures."""

    def __init__(self, work: Path, count: int = 48, steps: int = 20) -> None:
        self.work = work
        self.steps = steps
        self.artwork = prepare(work, ArtworkConfig())
        pooled = functional.avg_pool2d(self.artwork.rgba.flatten(0, 1).float(), 2)
        self.small = pooled.reshape(*self.artwork.rgba.shape[:3], *pooled.shape[2:])
        self.vae = load_vae(work)
        state = load(work / "latents.pt")
        assert state is not None
        self.scaling_factor: float = state["scaling_factor"]
        encoder, tokenizer = load_text_encoder(work)
        spread = torch.linspace(0, len(self.artwork) - 1, count).long()
        self.subjects = spread
        self.backgrounds = torch.arange(count) % len(COLOURS)
        names = [self.artwork.names[index] for index in spread.tolist()]
        self.prompts = [
            f"{name} on a {COLOURS[colour]} background"
            for name, colour in zip(names, self.backgrounds.tolist(), strict=True)
        ]
        with torch.inference_mode():
            self.states = encoder(token_ids(tokenizer, self.prompts, TOKENS)).last_hidden_state
            self.empty = encoder(token_ids(tokenizer, [""], TOKENS)).last_hidden_state

    @torch.inference_mode()
    def run(self, weights: Mapping[str, torch.Tensor], config: UnetConfig) -> str:
        """Draw with these weights; one line of figures, and ``trial.png`` to look at."""
        unet = build_unet(config, TextConfig()).eval()
        unet.load_state_dict(weights)

        def denoise(noisy: torch.Tensor, timesteps: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                predicted: torch.Tensor = unet(noisy, timesteps, states).sample
            return predicted.float()

        lines: list[str] = []
        for guidance_scale in (1.5, 3.0, 7.5):
            latents = sample(denoise, self.states, self.empty, self.steps, guidance_scale, seed=1)
            pictures = self.vae.decode(latents / self.scaling_factor).sample.clamp(-1, 1)
            lines.append(f"guidance {guidance_scale}: {self.judge(pictures)}")
            save_sheet(pictures, self.work / f"trial-{guidance_scale}.png")
        return "; ".join(lines)

    def judge(self, pictures: torch.Tensor) -> str:
        """How many of the trial's pictures are recognised, and how far off their corners are."""
        right = 0
        for index, colour in enumerate(palette()):
            chosen = torch.nonzero(self.backgrounds == index)[:, 0]
            drawn = composite(self.small.flatten(0, 1), colour.expand(self.small[..., 0, 0, 0].numel(), 3))
            references = drawn.reshape(*self.small.shape[:2], *drawn.shape[1:])
            for each in chosen.tolist():
                found = nearest_subjects(pictures[each : each + 1], references[None])
                right += int(found[0]) == int(self.subjects[each])
        corners = pictures[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mean(2) / 2 + 0.5
        off = (corners - palette()[self.backgrounds]).abs().amax(1).median()
        return f"{right}/{len(pictures)} nearest is right, corners off by {float(off) * 255:.0f}"


def save_sheet(pictures: torch.Tensor | Sequence[torch.Tensor], path: Path, columns: int = 8) -> None:
    """Lay pictures (3, 64, 64) in -1..1 out on one sheet."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * 64, rows * 64))
    for index, picture in enumerate(pictures):
        values = ((picture.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        tile = Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())
        sheet.paste(tile, (index % columns * 64, index // columns * 64))
    sheet.save(path)
