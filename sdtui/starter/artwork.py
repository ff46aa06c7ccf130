"""The training pictures: subjects as 64 px premultiplied RGBA, and their backgrounds.

Box-averaging and compositing commute on premultiplied colour, so the artwork is brought to 64 px
once and laid over any background afterwards.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sdtui.starter.checkpoint import write_atomically
from sdtui.starter.config import BACKGROUNDS, PIXELS, ArtworkConfig
from sdtui.starter.subjects import read_subjects


@dataclass(frozen=True)
class Artwork:
    """All subjects, ready for training."""

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    rgba: torch.Tensor
    """Premultiplied, uint8, (subjects, variants, 4, 64, 64)."""

    def __len__(self) -> int:
        return len(self.names)


def palette() -> torch.Tensor:
    """The background colours, float in 0..1, (colours, 3)."""
    return torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32) / 255.0


def composite(rgba: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """Lay premultiplied uint8 RGBA (n, 4, h, w) over colours (n, 3) in 0..1: (n, 3, h, w) in -1..1."""
    values = rgba.to(torch.float32) / 255.0
    pictures = values[:, :3] + (1.0 - values[:, 3:4]) * background[:, :, None, None]
    return pictures * 2.0 - 1.0


def prepare(work: Path, config: ArtworkConfig) -> Artwork:
    """Read the artwork, from ``work/artwork.npz`` when it has been prepared before."""
    cached = work / "artwork.npz"
    if not cached.exists():
        subjects = read_subjects(work)
        generator = np.random.default_rng(config.seed)
        rgba = np.stack([_variants(subject.file, config, generator) for subject in subjects])
        words = json.dumps([[s.name, list(s.synonyms)] for s in subjects])
        with write_atomically(cached) as temporary, temporary.open("wb") as stream:
            np.savez(stream, rgba=rgba, words=np.array(words))
    with np.load(cached) as stored:
        words = json.loads(str(stored["words"]))
        rgba = stored["rgba"]
    return Artwork(
        names=tuple(name for name, _ in words),
        synonyms=tuple(tuple(synonyms) for _, synonyms in words),
        rgba=torch.from_numpy(rgba),
    )


def _variants(path: Path, config: ArtworkConfig, generator: np.random.Generator) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        straight = np.asarray(image.convert("RGBA"), dtype=np.float32)
    premultiplied = straight.copy()
    premultiplied[..., :3] *= straight[..., 3:4] / 255.0
    pictures = [_place(premultiplied, config.scale, 0.0, 0.0)]
    pictures.append(pictures[0][:, :, ::-1])
    for variant in range(2, config.variants):
        shift = generator.uniform(-config.shift, config.shift, 2)
        picture = _place(premultiplied, generator.uniform(*config.scale_range), shift[0], shift[1])
        pictures.append(picture[:, :, ::-1] if variant % 2 else picture)
    return np.stack(pictures)


def _place(premultiplied: NDArray[np.float32], scale: float, right: float, down: float) -> NDArray[np.uint8]:
    """Scale about the centre and shift (pixels of the result): (4, 64, 64) uint8."""
    size = premultiplied.shape[0]
    step = size / (PIXELS * scale)
    box_left = size / 2 - (PIXELS / 2 + right) * step
    box_top = size / 2 - (PIXELS / 2 + down) * step
    margin = size // 2
    canvas = np.pad(premultiplied, ((margin, margin), (margin, margin), (0, 0)))
    box = (
        box_left + margin,
        box_top + margin,
        box_left + margin + PIXELS * step,
        box_top + margin + PIXELS * step,
    )
    planes = [
        np.asarray(
            Image.fromarray(canvas[..., channel]).resize((PIXELS, PIXELS), Image.Resampling.BOX, box=box)
        )
        for channel in range(4)
    ]
    placed: NDArray[np.uint8] = np.clip(np.rint(np.stack(planes)), 0, 255).astype(np.uint8)
    return placed
