"""Scenes as pictures."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sdtui.starter import backgrounds, device
from sdtui.starter.artwork import Artwork, resized
from sdtui.starter.config import BACKGROUNDS, PIXELS, STYLES
from sdtui.starter.scene import Box, Scene, SceneSource, boxes

Pixels = NDArray[np.float32]

_SHIFT = 0.018
"""Largest displacement of a thing, of the picture's width."""
_STRETCH = 0.04
"""Largest change of its size, of itself."""
_LINE = STYLES.index("line")
_INK = {False: 0.09, True: 0.96}
"""The grey of lines, by whether the background is dark."""
_DARK = [backgrounds.luminance(number) < 0.35 for number in range(len(BACKGROUNDS))]


def jittered(scene: Scene, generator: np.random.Generator) -> list[Box]:
    """Where the things are in one picture of a scene."""
    moved = []
    for box in boxes(scene):
        right, down = generator.uniform(-_SHIFT, _SHIFT, 2)
        side = box.side * (1.0 + generator.uniform(-_STRETCH, _STRETCH))
        moved.append(Box(box.x + right, box.y + down, side))
    return moved


def render(scene: Scene, artwork: Artwork, generator: np.random.Generator) -> NDArray[np.uint8]:
    """One picture of a scene, (128, 128, 3) 8-bit sRGB."""
    return paint(scene, jittered(scene, generator), artwork, PIXELS, generator)


def paint(
    scene: Scene, places: Sequence[Box], artwork: Artwork, size: int, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """The same with its things in given places, (size, size, 3)."""
    picture = backgrounds.draw(scene.background, size, generator)
    for thing, box in zip(scene.things, places, strict=True):
        lay(picture, artwork.rgba[thing.subject, scene.style], box, scene)
    return np.rint(picture * 255).astype(np.uint8)


def thumbnail(scene: Scene, index: int, artwork: Artwork, size: int) -> Pixels:
    """A small picture (size, size, 3) in 0..1 of one thing of a scene, alone before its background."""
    picture = backgrounds.draw(scene.background, size)
    lay(picture, artwork.rgba[scene.things[index].subject, scene.style], boxes(scene)[index], scene)
    return picture


def lay(picture: Pixels, rgba: NDArray[np.uint8], box: Box, scene: Scene) -> None:
    """Lay premultiplied artwork over a square picture in 0..1, in place; what is outside is cut off."""
    size = len(picture)
    side = max(1, round(box.side * size))
    left, top = round(box.x * size - side / 2), round(box.y * size - side / 2)
    small = resized(rgba, side).astype(np.float32) / np.float32(255)
    rows = slice(max(0, -top), min(side, size - top))
    columns = slice(max(0, -left), min(side, size - left))
    part = small[rows, columns]
    alpha = part[..., 3:]
    colour = alpha * np.float32(_INK[_DARK[scene.background]]) if scene.style == _LINE else part[..., :3]
    under = picture[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    under *= 1.0 - alpha
    under += colour


def random_pictures(
    artwork: Artwork, source: SceneSource, count: int, generator: torch.Generator
) -> tuple[list[Scene], torch.Tensor]:
    """Random scenes to train on and their pictures (count, 3, 128, 128) in -1..1."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    chosen, places = random.Random(seed), np.random.default_rng(seed)
    scenes = [source.training(chosen) for _ in range(count)]
    return scenes, to_tensor([render(scene, artwork, places) for scene in scenes])


def to_tensor(pictures: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """8-bit pictures (128, 128, 3) as (n, 3, 128, 128) in -1..1."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked.to(device.current()).float() / 127.5 - 1.0
