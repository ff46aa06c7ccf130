"""Stage 4: the decoder alone, from the latents it will be given.

The encoder stands still, so the denoiser stays right. Half of each batch are latents as encoded; the
rest has passed through the denoiser, so that the decoder learns to undo its blur and what guidance
exaggerates.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch.nn import functional

from sdtui.starter.artwork import composite, palette, prepare
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import ArtworkConfig, DecoderConfig, TextConfig, UnetConfig
from sdtui.starter.drawings import prepare_drawings
from sdtui.starter.latents import load_vae, prepare_captions, prepare_latents
from sdtui.starter.networks import build_unet
from sdtui.starter.train_unet import alphas_cumprod
from sdtui.starter.train_vae import edges, psnr


def load_unet(work: Path) -> UNet2DConditionModel:
    """The trained denoiser: its averaged weights, frozen."""
    state = load(work / "unet.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'unet.pt'}: train the unet stage first")
    unet = build_unet(UnetConfig(), TextConfig())
    unet.load_state_dict(state["average"])
    return unet.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@torch.no_grad()
def redrawn(
    unet: UNet2DConditionModel,
    latents: torch.Tensor,
    states: torch.Tensor,
    timesteps: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """What the denoiser believes the latents (n, 16, 8, 8) to be after noise of some timesteps (n,)."""
    kept = alphas_cumprod()[timesteps][:, None, None, None]
    noisy = kept.sqrt() * latents + (1.0 - kept).sqrt() * noise
    with torch.autocast("cpu", torch.bfloat16):
        velocity = unet(noisy, timesteps, states).sample.float()
    estimate: torch.Tensor = kept.sqrt() * noisy - (1.0 - kept).sqrt() * velocity
    return estimate


def train_decoder(work: Path, config: DecoderConfig) -> None:
    """Train until the time is used up; a stopped run goes on where its checkpoint left off."""
    torch.manual_seed(config.seed)
    artwork = prepare(work, ArtworkConfig())
    pictures = prepare_latents(work)
    captions = prepare_captions(work, UnetConfig())
    unet = load_unet(work)
    drawings = prepare_drawings(work, unet, pictures, captions, config)
    colours = palette()
    subjects, backgrounds, variants = pictures.latents.shape[:3]

    path = work / "decoder.pt"
    vae = load_vae(work)
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, betas=(0.9, 0.99), weight_decay=0)
    step, seconds = 0, 0.0
    state = load(path)
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    quarter = config.batch // 4

    budget = config.minutes * 60.0
    last = saved = time.monotonic()
    measured: list[tuple[float, ...]] = []
    while seconds < budget:
        rate = config.learning_rate * min(1.0, (step + 1) / 100)
        rate *= 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, seconds / budget)))
        for group in optimizer.param_groups:
            group["lr"] = rate

        def draw(high: int, count: int = config.batch) -> torch.Tensor:
            return torch.randint(high, (count,), generator=generator)

        subject, background, variant = draw(subjects), draw(backgrounds), draw(variants)
        latents = pictures.latents[subject, background, variant].float()
        first, second = slice(0, quarter), slice(quarter, 2 * quarter)
        chosen = draw(len(drawings.latents), quarter)
        latents[first] = drawings.latents[chosen].float()
        subject[first] = drawings.subject[chosen]
        background[first] = drawings.background[chosen]
        variant[first] = drawings.variant[chosen]
        latents[second] = redrawn(
            unet,
            latents[second],
            captions.states[subject[second], background[second], 0].float(),
            draw(config.latest_timestep, quarter),
            torch.randn(latents[second].shape, generator=generator),
        )
        target = composite(artwork.rgba[subject, variant], colours[background])
        latents = latents.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            output = vae.decoder(vae.post_quant_conv(latents / pictures.scaling_factor)).float()
        flat = functional.l1_loss(output, target) + functional.mse_loss(output, target)
        detail = sum(functional.l1_loss(a, b) for a, b in zip(edges(output), edges(target), strict=True))
        loss = flat + config.edge_weight * detail
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        rest = slice(2 * quarter, None)
        measured.append(tuple(psnr(output[part], target[part]) for part in (rest, second, first)))
        now = time.monotonic()
        seconds += min(now - last, 60.0)
        last = now
        if step % 100 == 0:
            encoded, again, drawn = (sum(values) / len(measured) for values in zip(*measured, strict=True))
            measured.clear()
            print(
                f"decoder step {step} {seconds:.0f} s: {encoded:.2f} dB from latents,"
                f" {again:.2f} dB after noise, {drawn:.2f} dB from drawings, rate {rate:.2e}",
                flush=True,
            )
        if now - saved > 120.0 or seconds >= budget:
            saved = now
            save(
                path,
                {
                    "model": vae.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "seconds": seconds,
                },
            )
