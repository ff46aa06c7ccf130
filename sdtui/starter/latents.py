"""The pictures and captions as the denoiser sees them, computed once and kept on disk."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from sdtui.starter.artwork import Artwork, composite, palette, prepare
from sdtui.starter.captions import COLOURS, Grammar
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import LATENT_CHANNELS, TOKENS, ArtworkConfig, UnetConfig, VaeConfig
from sdtui.starter.networks import build_vae
from sdtui.starter.train_text import load_text_encoder, token_ids

_JITTER = 0.012
"""Spread of the backgrounds about their colour, of 0..1."""


@dataclass(frozen=True)
class LatentSet:
    """All pictures as latents, already scaled to unit spread."""

    latents: torch.Tensor
    """float16, (subjects, backgrounds, variants, 16, 8, 8)"""
    scaling_factor: float
    """Latents of the autoencoder times this have unit spread."""
    preview: torch.Tensor
    """Affine map from one position's scaled latents to RGB in -1..1, (3, 16 + 1)."""


@dataclass(frozen=True)
class CaptionSet:
    """Hidden states of the captions, by subject and background."""

    states: torch.Tensor
    """float16, (subjects, backgrounds, captions, 77, width)"""
    empty: torch.Tensor
    """float16, (77, width), of the empty caption"""


def load_vae(work: Path) -> AutoencoderKL:
    """The trained autoencoder, frozen, with its decoder trained further where that has been done."""
    state = load(work / "decoder.pt") or load(work / "vae.pt")
    if state is None:
        raise FileNotFoundError(f"{work / 'vae.pt'}: train the vae stage first")
    vae = build_vae(VaeConfig())
    vae.load_state_dict(state["model"])
    return vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@torch.inference_mode()
def prepare_latents(work: Path) -> LatentSet:
    """Encode every picture, or read the result of an earlier run."""
    path = work / "latents.pt"
    state = load(path)
    if state is None:
        state = _encode(load_vae(work), prepare(work, ArtworkConfig()))
        save(path, state)
    return LatentSet(state["latents"], state["scaling_factor"], state["preview"])


def _encode(vae: AutoencoderKL, artwork: Artwork) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(11)
    subjects, variants = artwork.rgba.shape[:2]
    colours = palette()
    result = torch.empty(subjects, len(colours), variants, LATENT_CHANNELS, 8, 8, dtype=torch.float16)
    sampled_latents: list[torch.Tensor] = []
    sampled_pictures: list[torch.Tensor] = []
    for subject in range(subjects):
        rgba = artwork.rgba[subject].repeat(len(colours), 1, 1, 1)
        background = colours.repeat_interleave(variants, 0)
        background = background + _JITTER * torch.randn(background.shape, generator=generator)
        pictures = composite(rgba, background.clamp(0.0, 1.0))
        with torch.autocast("cpu", torch.bfloat16):
            moments = vae.quant_conv(vae.encoder(pictures.contiguous(memory_format=torch.channels_last)))
        mean = moments.float()[:, :LATENT_CHANNELS]
        result[subject] = mean.unflatten(0, (len(colours), variants)).half()
        if subject % 4 == 0:
            sampled_latents.append(mean[::variants])
            sampled_pictures.append(functional.avg_pool2d(pictures[::variants], 8))
        if subject % 100 == 0:
            print(f"latents {subject}/{subjects}", flush=True)
    scaling_factor = float(1.0 / result.float().std())
    scaled = (result.float() * scaling_factor).half()
    points = torch.cat(sampled_latents).permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS)
    points = torch.cat([points * scaling_factor, torch.ones(len(points), 1)], dim=1)
    values = torch.cat(sampled_pictures).permute(0, 2, 3, 1).reshape(-1, 3)
    preview = torch.linalg.lstsq(points, values).solution.T.contiguous()
    print(
        f"latents: scaling factor {scaling_factor:.5f}, mean {float(scaled.float().mean()):.3f},"
        f" channel spread {[round(float(x), 2) for x in scaled.float().std((0, 1, 2, 4, 5))]},"
        f" preview error {float((points @ preview.T - values).abs().mean()):.4f}",
        flush=True,
    )
    return {"latents": scaled, "scaling_factor": scaling_factor, "preview": preview}


@torch.inference_mode()
def prepare_captions(work: Path, config: UnetConfig) -> CaptionSet:
    """Run the text encoder over a pool of captions, or read the result of an earlier run."""
    path = work / "captions.pt"
    state = load(path)
    if state is None:
        encoder, tokenizer = load_text_encoder(work)
        artwork = prepare(work, ArtworkConfig())
        grammar = Grammar(artwork.names, artwork.synonyms)
        generator = random.Random(config.seed)
        count = config.captions_per_picture
        states = torch.empty(
            len(artwork), len(COLOURS), count, TOKENS, encoder.config.hidden_size,
            dtype=torch.float16,
        )  # fmt: skip
        for subject in range(len(artwork)):
            texts = [
                grammar.caption(subject, background, generator).text
                for background in range(len(COLOURS))
                for _ in range(count)
            ]
            with torch.autocast("cpu", torch.bfloat16):
                hidden = encoder(token_ids(tokenizer, texts, TOKENS)).last_hidden_state
            states[subject] = hidden.half().unflatten(0, (len(COLOURS), count))
            if subject % 100 == 0:
                print(f"captions {subject}/{len(artwork)}", flush=True)
        empty = encoder(token_ids(tokenizer, [""], TOKENS)).last_hidden_state[0].half()
        state = {"states": states, "empty": empty}
        save(path, state)
    return CaptionSet(state["states"], state["empty"])
