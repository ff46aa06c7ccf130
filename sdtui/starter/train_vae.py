"""Stage 1: the autoencoder, on the pictures over named, jittered and random backgrounds."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch.nn import functional

from sdtui.starter.artwork import Artwork, composite, palette, prepare
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import ArtworkConfig, VaeConfig
from sdtui.starter.networks import build_vae

_JITTER = 0.03
"""Spread of a background about its named colour, of 0..1."""


def random_pictures(artwork: Artwork, count: int, generator: torch.Generator) -> torch.Tensor:
    """Pictures (count, 3, 64, 64) in -1..1 of random subjects, variants and backgrounds."""
    subjects = torch.randint(len(artwork), (count,), generator=generator)
    variants = torch.randint(artwork.rgba.shape[1], (count,), generator=generator)
    colours = palette()
    named = colours[torch.randint(len(colours), (count,), generator=generator)]
    named = named + _JITTER * torch.randn(count, 3, generator=generator)
    free = torch.rand(count, 3, generator=generator)
    is_free = torch.rand(count, 1, generator=generator) < 0.15
    background = torch.where(is_free, free, named).clamp(0.0, 1.0)
    return composite(artwork.rgba[subjects, variants], background)


def edges(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences between neighbours, down and across."""
    return pictures[:, :, 1:] - pictures[:, :, :-1], pictures[..., 1:] - pictures[..., :-1]


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in -1..1, dB, mean over pictures."""
    error = (a - b).detach().square().flatten(1).mean(1).clamp_min(1e-10)
    return float((10.0 * torch.log10(4.0 / error)).mean())


def train_vae(work: Path, config: VaeConfig) -> None:
    """Train until the time is used up; a stopped run goes on where its checkpoint left off."""
    torch.manual_seed(config.seed)
    artwork = prepare(work, ArtworkConfig())
    generator = torch.Generator().manual_seed(config.seed)
    held = random_pictures(artwork, 128, torch.Generator().manual_seed(99))

    vae = build_vae(config).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        vae.parameters(), config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
    )
    path = work / "vae.pt"
    step, seconds = 0, 0.0
    state = load(path)
    if state is not None:
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        step, seconds = state["step"], state["seconds"]

    budget = config.minutes * 60.0
    last = time.monotonic()
    saved = last
    while seconds < budget:
        progress = seconds / budget
        rate = config.learning_rate * min(1.0, (step + 1) / 100)
        rate *= 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        pictures = random_pictures(artwork, config.batch, generator)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            moments = vae.quant_conv(vae.encoder(pictures))
            mean, log_variance = moments.float().chunk(2, dim=1)
            log_variance = log_variance.clamp(-30.0, 10.0)
            noise = torch.randn(mean.shape, generator=generator)
            latents = mean + torch.exp(0.5 * log_variance) * noise
            output = vae.decoder(vae.post_quant_conv(latents)).float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        flat = functional.l1_loss(output, pictures) + functional.mse_loss(output, pictures)
        detail = sum(functional.l1_loss(a, b) for a, b in zip(edges(output), edges(pictures), strict=True))
        loss = flat + config.edge_weight * detail + config.kl_weight * min(1.0, step / 500) * kl
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        now = time.monotonic()
        seconds += min(now - last, 60.0)
        last = now
        if step % 100 == 0:
            print(
                f"vae step {step} {seconds:.0f} s loss {loss.item():.4f} flat {flat.item():.4f}"
                f" kl {kl.item():.2f} psnr {psnr(output, pictures):.2f} dB",
                flush=True,
            )
        if now - saved > 120.0 or seconds >= budget:
            saved = now
            save(
                path,
                {
                    "model": vae.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "generator": generator.get_state(),
                    "step": step,
                    "seconds": seconds,
                },
            )
            with torch.inference_mode():
                restored = vae.decode(vae.encode(held).latent_dist.mean).sample
            print(f"vae step {step} held-out mixes {psnr(restored, held):.2f} dB", flush=True)
