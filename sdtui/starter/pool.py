"""The pictures that the denoiser learns from, encoded, in shards that are made when they are needed.

Shard number k holds the same pictures whoever makes it, and stays on disk beside the checkpoints.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from sdtui.starter import device
from sdtui.starter.artwork import Artwork
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import LATENT_CHANNELS, PoolConfig
from sdtui.starter.render import render, to_tensor
from sdtui.starter.scene import Scene, SceneSource, Thing

_TOGETHER = 16


@dataclass(frozen=True)
class Scale:
    """How latents are scaled, and what they look like."""

    factor: float
    """Latents of the autoencoder times this have unit spread."""
    preview: torch.Tensor
    """Affine map from one position's scaled latents to RGB in -1..1, (3, channels + 1)."""


@dataclass(frozen=True)
class Shard:
    """Some thousand pictures."""

    latents: torch.Tensor
    """Scaled, float16, (pictures, 8, 16, 16)."""
    scenes: tuple[Scene, ...]


@torch.inference_mode()
def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """The mean latents of pictures (n, 3, 128, 128) in -1..1, unscaled, float32."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with device.mixed_precision():
        moments = vae.quant_conv(vae.encoder(pictures))
    means: torch.Tensor = moments.float()[:, :LATENT_CHANNELS]
    return means


def measure_scale(work: Path, vae: AutoencoderKL, artwork: Artwork) -> Scale:
    """Measured over a few hundred pictures, or read where that has been done before."""
    path = work / "scale.pt"
    state = load(path)
    if state is None:
        pictures = _pictures(_scenes(384, -1, artwork), artwork, -1)
        latents = torch.cat([encode(vae, part) for part in torch.split(pictures, _TOGETHER)])
        factor = float(1.0 / latents.std())
        points = latents.permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS) * factor
        points = torch.cat([points, torch.ones(len(points), 1)], dim=1)
        values = functional.avg_pool2d(pictures, 8).permute(0, 2, 3, 1).reshape(-1, 3)
        preview = torch.linalg.lstsq(points, values).solution.T.contiguous()
        off = float((points @ preview.T - values).abs().mean())
        print(f"scale: factor {factor:.5f}, preview off by {off:.4f}", flush=True)
        state = {"factor": factor, "preview": preview}
        save(path, state)
    return Scale(**state)


class Pool:
    """The shards that a step may draw from."""

    def __init__(self, work: Path, config: PoolConfig, vae: AutoencoderKL, artwork: Artwork) -> None:
        self.work = work
        self.config = config
        self.vae = vae
        self.artwork = artwork
        self.scale = measure_scale(work, vae, artwork)
        self._shards: dict[int, Shard] = {}

    def draw(self, step: int, count: int, generator: torch.Generator) -> tuple[torch.Tensor, list[Scene]]:
        """Latents (count, 8, 16, 16), float32, and their scenes."""
        last = self.config.first + step // self.config.steps_per_shard
        known = range(max(0, last - self.config.kept), last)
        for number in self._shards.keys() - set(known):
            del self._shards[number]
        chosen = torch.randint(len(known) * self.config.shard, (count,), generator=generator).tolist()
        places = [divmod(each, self.config.shard) for each in chosen]
        drawn = [(self._shard(known[number]), row) for number, row in places]
        latents = torch.stack([shard.latents[row] for shard, row in drawn]).to(device.current()).float()
        return latents, [shard.scenes[row] for shard, row in drawn]

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            path = self.work / "pool" / f"{number:04}.pt"
            state = load(path)
            if state is None:
                state = self._make(number)
                save(path, state)
            scenes = tuple(_scene(told) for told in state["scenes"])
            self._shards[number] = Shard(state["latents"], scenes)
        return self._shards[number]

    def _make(self, number: int) -> dict[str, Any]:
        seed = self.config.seed * 1_000_003 + number
        scenes = _scenes(self.config.shard, seed, self.artwork)
        parts = []
        for first in range(0, len(scenes), _TOGETHER):
            part = scenes[first : first + _TOGETHER]
            pictures = _pictures(part, self.artwork, seed * 4099 + first)
            parts.append((encode(self.vae, pictures) * self.scale.factor).half().cpu())
        print(f"pool: shard {number} made", flush=True)
        return {"latents": torch.cat(parts), "scenes": [asdict(scene) for scene in scenes]}


def _scenes(count: int, seed: int, artwork: Artwork) -> list[Scene]:
    generator = random.Random(seed)
    source = SceneSource(len(artwork))
    return [source.training(generator) for _ in range(count)]


def _pictures(scenes: list[Scene], artwork: Artwork, seed: int) -> torch.Tensor:
    generator = np.random.default_rng(abs(seed))
    return to_tensor([render(scene, artwork, generator) for scene in scenes])


def _scene(told: dict[str, Any]) -> Scene:
    return Scene(**{**told, "things": tuple(Thing(**thing) for thing in told["things"])})
