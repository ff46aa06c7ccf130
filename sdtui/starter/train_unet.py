"""Stage 3: the denoiser, on cached latents and captions, predicting v."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch.nn import functional

from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import (
    BETA_END,
    BETA_START,
    TRAIN_TIMESTEPS,
    TextConfig,
    UnetConfig,
)
from sdtui.starter.latents import prepare_captions, prepare_latents
from sdtui.starter.networks import build_unet
from sdtui.starter.trial import Trial


def alphas_cumprod() -> torch.Tensor:
    """The part of the picture that is left at each training timestep, (1000,)."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_TIMESTEPS) ** 2
    return torch.cumprod(1.0 - betas, 0)


def velocity_loss(
    unet: UNet2DConditionModel,
    latents: torch.Tensor,
    states: torch.Tensor,
    timesteps: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Squared error of the predicted velocity, one number per picture, (n,)."""
    kept = alphas_cumprod()[timesteps][:, None, None, None]
    noisy = kept.sqrt() * latents + (1.0 - kept).sqrt() * noise
    velocity = kept.sqrt() * noise - (1.0 - kept).sqrt() * latents
    with torch.autocast("cpu", torch.bfloat16):
        predicted = unet(noisy, timesteps, states).sample
    return functional.mse_loss(predicted.float(), velocity, reduction="none").mean((1, 2, 3))


def train_unet(work: Path, config: UnetConfig) -> None:
    """Train until the time is used up; a stopped run goes on where its checkpoint left off."""
    torch.manual_seed(config.seed)
    pictures = prepare_latents(work)
    captions = prepare_captions(work, config)
    subjects, backgrounds, variants = pictures.latents.shape[:3]
    texts = captions.states.shape[2]
    weights = torch.tensor(config.variant_weights[:variants])

    unet = build_unet(config, TextConfig()).to(memory_format=torch.channels_last)
    average = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    optimizer = torch.optim.AdamW(
        unet.parameters(), config.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    path = work / "unet.pt"
    step, seconds = 0, 0.0
    state = load(path)
    if state is not None:
        unet.load_state_dict(state["model"])
        average = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    trial = Trial(work)

    budget = config.minutes * 60.0
    last = saved = tried = time.monotonic()
    recent: list[float] = []
    while seconds < budget:
        rate = config.learning_rate * min(1.0, (step + 1) / config.warmup_steps)
        rate *= 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, seconds / budget)))
        for group in optimizer.param_groups:
            group["lr"] = rate

        def draw(high: int) -> torch.Tensor:
            return torch.randint(high, (config.batch,), generator=generator)

        subject, background = draw(subjects), draw(backgrounds)
        variant = torch.multinomial(weights, config.batch, replacement=True, generator=generator)
        latents = pictures.latents[subject, background, variant].float()
        hidden = captions.states[subject, background, draw(texts)].float()
        empty = torch.rand(config.batch, generator=generator) < config.empty_captions
        hidden[empty] = captions.empty.float()
        noise = torch.randn(latents.shape, generator=generator)
        loss = velocity_loss(unet, latents, hidden, draw(TRAIN_TIMESTEPS), noise).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(config.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_([*average.values()], [*unet.state_dict().values()], 1.0 - decay)
        recent.append(loss.item())
        now = time.monotonic()
        seconds += min(now - last, 60.0)
        last = now
        if step % 100 == 0:
            mean = sum(recent) / len(recent)
            recent.clear()
            print(f"unet step {step} {seconds:.0f} s loss {mean:.4f} rate {rate:.2e}", flush=True)
        finished = seconds >= budget
        if now - saved > 180.0 or finished:
            saved = now
            save(
                path,
                {
                    "model": unet.state_dict(),
                    "average": average,
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "seconds": seconds,
                },
            )
        if now - tried > 600.0 or finished:
            print(f"unet step {step} {trial.run(average, config)}", flush=True)
            last = tried = time.monotonic()
