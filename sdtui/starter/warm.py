"""``python -m sdtui.starter.warm --from DIR --work DIR``: begin with the weights of an earlier starter.

The first starter (64 px, one thing, ten colours) had networks of the same classes. What fits is taken
over: its tokenizer and text encoder whole; its autoencoder, whose 16 channels of latents are turned to
their 8 principal ones; its denoiser's two levels as the two coarser ones of the new. Training from
scratch comes to the same end and takes longer.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch.nn import functional

from sdtui.starter.artwork import prepare
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import (
    LATENT_CHANNELS,
    TRAIN_TIMESTEPS,
    TextConfig,
    UnetConfig,
    VaeConfig,
)
from sdtui.starter.networks import build_unet, build_vae
from sdtui.starter.render import random_pictures
from sdtui.starter.scene import SceneSource
from sdtui.starter.train_text import TextTraining

Weights = dict[str, torch.Tensor]


def warm_text(earlier: Weights, heads: Weights, work: Path) -> dict[str, Any]:
    """The first state of the text stage: encoder as it was, and its head for subjects."""
    training = TextTraining(work, TextConfig())
    training.model.load_state_dict(earlier)
    kept = training.heads.state_dict()
    kept.update({name: heads[name] for name in ("subject.weight", "subject.bias")})
    return {"model": training.model.state_dict(), "heads": kept, "step": 0, "seconds": 0.0}


@torch.inference_mode()
def warm_vae(earlier: Weights, work: Path, pictures: int = 96) -> dict[str, Any]:
    """The first state of the autoencoder: the earlier one, its latents turned and cut.

    With latents z of mean m, and P the principal directions of their spread, the new latents are
    P (z - m) and what the decoder gets is the old z again as far as P keeps it. Both are linear maps
    beside convolutions, so they are multiplied into these.
    """
    vae = build_vae(VaeConfig())
    weights = vae.state_dict()
    bottleneck = ("quant_conv", "post_quant_conv", "encoder.conv_out", "decoder.conv_in")
    weights.update({name: value for name, value in earlier.items() if not name.startswith(bottleneck)})
    vae.load_state_dict(weights)

    # Old: means q (c h + b) + d, with h what enters conv_out; q is a 1x1 convolution.
    channels = earlier["post_quant_conv.weight"].shape[0]
    q, d = earlier["quant_conv.weight"][:channels, :, 0, 0], earlier["quant_conv.bias"][:channels]
    out = torch.einsum("zc,cikl->zikl", q, earlier["encoder.conv_out.weight"])
    bias = q @ earlier["encoder.conv_out.bias"] + d
    generator = torch.Generator().manual_seed(1)
    artwork = prepare(work)
    points = []
    for _ in range(pictures // 8):
        _, sample = random_pictures(artwork, SceneSource(len(artwork)), 8, generator)
        vae.encoder.conv_out = torch.nn.Identity()
        points.append(
            torch.conv2d(vae.encoder(sample), out, bias, padding=1).permute(0, 2, 3, 1).flatten(0, 2)
        )
    latents = torch.cat(points)
    mean = latents.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((latents - mean).T))
    spread = values.flip(0)[:LATENT_CHANNELS].sqrt()
    directions = vectors.flip(1)[:, :LATENT_CHANNELS].T
    part = float(spread.square().sum() / values.sum())
    print(f"vae: {LATENT_CHANNELS} of {channels} channels keep {part:.1%} of the spread")
    down = directions / spread[:, None].sqrt()
    up = directions.T * spread.sqrt()

    fresh = build_vae(VaeConfig())
    weights = fresh.state_dict()
    weights.update({name: value for name, value in earlier.items() if not name.startswith(bottleneck)})
    weights["encoder.conv_out.weight"][:LATENT_CHANNELS] = torch.einsum("yz,zikl->yikl", down, out)
    weights["encoder.conv_out.bias"][:LATENT_CHANNELS] = down @ (bias - mean)
    weights["quant_conv.weight"][:LATENT_CHANNELS, :, 0, 0] = torch.eye(LATENT_CHANNELS, 2 * LATENT_CHANNELS)
    weights["quant_conv.bias"][:LATENT_CHANNELS] = 0.0
    p, e = earlier["post_quant_conv.weight"][:, :, 0, 0], earlier["post_quant_conv.bias"]
    into = earlier["decoder.conv_in.weight"]
    weights["post_quant_conv.weight"][:, :, 0, 0] = torch.eye(LATENT_CHANNELS)
    weights["post_quant_conv.bias"][:] = 0.0
    weights["decoder.conv_in.weight"] = torch.einsum("ockl,cy->oykl", into, p @ up)
    constant = into.sum((2, 3)) @ (p @ mean + e)
    weights["decoder.conv_in.bias"] = earlier["decoder.conv_in.bias"] + constant
    return {"model": weights, "step": 0, "seconds": 0.0}


def warm_unet(earlier: Weights, config: UnetConfig) -> Weights:
    """The first weights of the denoiser: what fits of the earlier one, one level coarser.

    Attention that the earlier one had not begins by changing nothing.
    """
    unet = build_unet(config, TextConfig())
    weights: Weights = unet.state_dict()
    moved = {_one_coarser(name): value for name, value in earlier.items()}
    taken = {
        name
        for name, value in moved.items()
        if name in weights and weights[name].shape == value.shape and not name.startswith("conv_")
    }
    for name, value in weights.items():
        if name in taken:
            weights[name] = moved[name].clone()
        elif "proj_out" in name:
            weights[name] = torch.zeros_like(value)
    fitted = _fit_time(moved, weights)
    part = sum(weights[name].numel() for name in taken | fitted)
    print(f"unet: {part / sum(value.numel() for value in weights.values()):.0%} begin as they were")
    return weights


def _one_coarser(name: str) -> str:
    for old, new in (("down_blocks.1.", "down_blocks.2."), ("down_blocks.0.", "down_blocks.1.")):
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


@torch.inference_mode()
def _fit_time(earlier: Weights, weights: Weights) -> set[str]:
    """Have every layer hear of the time what it heard before, through a narrower embedding of it.

    What a layer adds for a timestep is a linear map of the embedding; the new maps are those that come
    closest over all timesteps. Returns the names of the maps.
    """
    before, now = _embedding(earlier), _embedding(weights)
    damped = now.T @ now + 1e-4 * len(now) * torch.eye(now.shape[1], dtype=now.dtype)
    fitted, off, energy = set(), 0.0, 0.0
    for name, value in earlier.items():
        if not name.endswith("time_emb_proj.weight") or name not in weights:
            continue
        wanted = before @ value.double().T
        if wanted.shape[1] != len(weights[name]):
            continue
        solution = torch.linalg.solve(damped, now.T @ wanted)
        off += float((now @ solution - wanted).square().sum())
        energy += float(wanted.square().sum())
        weights[name] = solution.T.float().contiguous()
        fitted.add(name)
    print(f"unet: {off / energy:.2%} of what the time says is lost")
    return fitted


def _embedding(weights: Weights) -> torch.Tensor:
    """What a denoiser's layers get of every timestep, float64, (1000, width)."""
    first, second = (
        (weights[f"time_embedding.linear_{n}.weight"], weights[f"time_embedding.linear_{n}.bias"])
        for n in (1, 2)
    )
    waves: torch.Tensor = get_timestep_embedding(
        torch.arange(TRAIN_TIMESTEPS), first[0].shape[1], flip_sin_to_cos=True, downscale_freq_shift=0
    )
    hidden = functional.silu(functional.linear(waves, *first))
    return functional.silu(functional.linear(hidden, *second)).double()


def main() -> None:
    """Read the command line; write the checkpoints that the stages go on from."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.warm", description=__doc__)
    parser.add_argument("--from", dest="earlier", type=Path, required=True, help="its working folder")
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    arguments = parser.parse_args()
    earlier, work = arguments.earlier, arguments.work
    torch.manual_seed(0)
    np.random.seed(0)

    def read(name: str) -> dict[str, Any]:
        state = load(earlier / f"{name}.pt")
        if state is None:
            raise SystemExit(f"error: no {name}.pt in {earlier}")
        return state

    if not (work / "tokenizer").exists():
        shutil.copytree(earlier / "tokenizer", work / "tokenizer")
    if not (work / "text.pt").exists():
        text = read("text")
        save(work / "text.pt", warm_text(text["model"], text["heads"], work))
    if not (work / "vae.pt").exists():
        save(work / "vae.pt", warm_vae(read("decoder")["model"], work))
    if not (work / "unet.pt").exists():
        unet = warm_unet(read("unet")["average"], UnetConfig())
        save(work / "unet.pt", {"model": unet, "average": unet, "step": 0, "seconds": 0.0})


if __name__ == "__main__":
    main()
