"""Stage 2: the autoencoder, on crops of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from sdtui.starter import device, loop
from sdtui.starter.artwork import prepare
from sdtui.starter.checkpoint import load
from sdtui.starter.config import LATENT_SIZE, PIXELS, VaeConfig
from sdtui.starter.networks import build_vae
from sdtui.starter.render import random_pictures
from sdtui.starter.scene import Scene, SceneSource, boxes


def edges(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences between neighbours, down and across."""
    return pictures[:, :, 1:] - pictures[:, :, :-1], pictures[..., 1:] - pictures[..., :-1]


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in -1..1, dB, mean over pictures."""
    error = (a - b).detach().square().flatten(1).mean(1).clamp_min(1e-10)
    return float((10.0 * torch.log10(4.0 / error)).mean())


def likeness_loss(output: torch.Tensor, pictures: torch.Tensor, edge_weight: float) -> torch.Tensor:
    """Absolute and squared differences of colours, and absolute ones of edges."""
    flat = functional.l1_loss(output, pictures) + functional.mse_loss(output, pictures)
    down, across = (functional.l1_loss(a, b) for a, b in zip(edges(output), edges(pictures), strict=True))
    return flat + edge_weight * (down + across)


def crops(
    pictures: torch.Tensor, scenes: Sequence[Scene], size: int, generator: torch.Generator
) -> torch.Tensor:
    """A square of each picture about one of its things, cut along latents.

    Most of a picture is background, which is learnt at once.
    """
    cut = []
    for picture, scene in zip(pictures, scenes, strict=True):
        drawn = torch.rand(3, generator=generator).tolist()
        places = boxes(scene)
        box = places[int(drawn[0] * len(places))]
        left, top = (
            _along_latents(PIXELS * (middle + box.side * (off - 0.5)) - size / 2, size)
            for middle, off in ((box.x, drawn[1]), (box.y, drawn[2]))
        )
        cut.append(picture[:, top : top + size, left : left + size])
    return torch.stack(cut)


def _along_latents(place: float, size: int) -> int:
    step = PIXELS // LATENT_SIZE
    return min(max(round(place / step) * step, 0), PIXELS - size)


def load_vae(work: Path) -> AutoencoderKL:
    """The trained autoencoder, frozen, with its decoder trained further where that has been done."""
    state = load(work / "decoder.pt") or load(work / "vae.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'vae.pt'}: train the vae stage first")
    vae = build_vae(VaeConfig())
    vae.load_state_dict(state["model"])
    return vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def train_vae(work: Path, config: VaeConfig) -> None:
    """Train, or go on."""
    torch.manual_seed(config.seed)
    artwork = prepare(work)
    vae = build_vae(config).to(memory_format=torch.channels_last)
    source = SceneSource(len(artwork))
    _, held = random_pictures(artwork, source, 64, device.generator(99))

    def loss(step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        scenes, whole = random_pictures(artwork, source, config.batch, generator)
        pictures = crops(whole, scenes, config.crop, generator).contiguous(memory_format=torch.channels_last)
        with device.mixed_precision():
            moments = vae.quant_conv(vae.encoder(pictures))
            mean, log_variance = moments.float().chunk(2, dim=1)
            log_variance = log_variance.clamp(-30.0, 10.0)
            noise = torch.randn(mean.shape, generator=generator)
            latents = mean + torch.exp(0.5 * log_variance) * noise
            output = vae.decoder(vae.post_quant_conv(latents)).float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        likeness = likeness_loss(output, pictures, config.edge_weight)
        metrics = {"likeness": likeness.item(), "kl": kl.item(), "psnr": psnr(output, pictures)}
        return likeness + config.kl_weight * min(1.0, step / 500) * kl, metrics

    @torch.inference_mode()
    def report(_step: int) -> str:
        restored = [vae.decode(vae.encode(part).latent_dist.mean).sample for part in torch.split(held, 8)]
        return f"whole pictures {psnr(torch.cat(restored), held):.2f} dB"

    loop.run(
        loop.Stage(
            name="vae",
            modules={"model": vae},
            schedule=loop.Schedule(config.steps, config.learning_rate),
            loss=loss,
            report=report,
            weight_decay=1e-4,
            seed=config.seed,
        ),
        work,
    )
