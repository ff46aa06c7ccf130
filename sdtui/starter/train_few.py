"""Beside the model: a denoiser that needs four steps, by progressive distillation.

From noisy latents at one of the pupil's timesteps the teacher takes several guided DDIM steps; the pupil
learns to arrive at the same place in one, without guidance (Salimans and Ho, "Progressive distillation
for fast sampling of diffusion models", 2022, in one round). Draw with ``ddim``, trailing timesteps,
guidance 1.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional

from sdtui.starter import loop
from sdtui.starter.config import TRAIN_TIMESTEPS, FewConfig
from sdtui.starter.sampling import Denoise, denoiser
from sdtui.starter.train_unet import Material, alphas_cumprod, load_unet


def signal_and_noise(timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What latents and noise are multiplied by at timesteps (n,), -1 being the end: (n, 1, 1, 1) each."""
    kept = alphas_cumprod()[timesteps.clamp(min=0)][:, None, None, None]
    return kept.sqrt(), (1.0 - kept).sqrt()


def ddim_step(
    noisy: torch.Tensor, velocity: torch.Tensor, here: torch.Tensor, there: torch.Tensor
) -> torch.Tensor:
    """Latents at timesteps ``there`` from those at ``here`` and their predicted velocity."""
    signal, noise = signal_and_noise(here)
    clean = signal * noisy - noise * velocity
    rest = noise * noisy + signal * velocity
    signal, noise = signal_and_noise(there)
    return signal * clean + noise * rest


def velocity_between(
    noisy: torch.Tensor, arrived: torch.Tensor, here: torch.Tensor, there: torch.Tensor
) -> torch.Tensor:
    """The velocity with which one DDIM step leads from ``noisy`` to ``arrived``."""
    signal, noise = signal_and_noise(here)
    signal_there, noise_there = signal_and_noise(there)
    # With v, the step gives (s' s + n' n) x + (n' s - s' n) v.
    return (arrived - (signal_there * signal + noise_there * noise) * noisy) / (
        noise_there * signal - signal_there * noise
    )


@torch.no_grad()
def taught(
    teacher: Denoise,
    noisy: torch.Tensor,
    states: torch.Tensor,
    empty: torch.Tensor,
    here: torch.Tensor,
    config: FewConfig,
) -> torch.Tensor:
    """The velocity that the pupil has to predict for noisy latents (n, 8, 16, 16) at ``here``."""
    stride = TRAIN_TIMESTEPS // config.drawing_steps
    both = torch.cat([empty.expand_as(states), states])
    latents, now = noisy, here
    for step in range(1, config.teacher_steps + 1):
        later = here - stride * step // config.teacher_steps
        free, bound = teacher(torch.cat([latents, latents]), torch.cat([now, now]), both).chunk(2)
        latents = ddim_step(latents, free + config.guidance * (bound - free), now, later)
        now = later
    return velocity_between(noisy, latents, here, now)


def train_few(work: Path, config: FewConfig) -> None:
    """Train, or go on."""
    torch.manual_seed(config.seed)
    material = Material(work, empty_captions=0.0)
    teacher = denoiser(load_unet(work))
    pupil = load_unet(work).requires_grad_(True)
    stride = TRAIN_TIMESTEPS // config.drawing_steps

    def loss(step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        latents, states = material.batch(step, config.batch, generator)
        place = torch.randint(1, config.drawing_steps + 1, (config.batch,), generator=generator)
        here = place * stride - 1
        signal, noise = signal_and_noise(here)
        noisy = signal * latents + noise * torch.randn(latents.shape, generator=generator)
        wanted = taught(teacher, noisy, states, material.words.empty, here, config)
        error = functional.mse_loss(denoiser(pupil)(noisy, here, states), wanted)
        return error, {"loss": error.item()}

    loop.run(
        loop.Stage(
            name="few",
            modules={"model": pupil},
            schedule=loop.Schedule(config.steps, config.learning_rate),
            loss=loss,
            average=loop.Average(pupil, config.ema_decay),
            seed=config.seed,
        ),
        work,
    )
