"""Pictures of 512 x 512 pixels, like a photograph, an emoji and a gradient; the same each time."""

from __future__ import annotations

import colorsys
from random import Random

from PIL import Image, ImageDraw

SIDE = 512
SIZE = (SIDE, SIDE)


def photograph() -> Image.Image:
    """Detail of every size, the finer the fainter, as in photographs (their spectrum falls off as 1/f)."""
    chance = Random(1)

    def noise(side: int) -> Image.Image:
        return Image.frombytes("L", (side, side), chance.randbytes(side * side))

    picture, total, side = Image.new("RGB", SIZE), 0.0, 4
    while side <= SIDE:
        light = noise(side)
        layer = Image.merge("RGB", [Image.blend(light, noise(side), 0.35) for _ in range(3)])
        total += side**-0.9
        picture = Image.blend(picture, layer.resize(SIZE, Image.Resampling.BICUBIC), side**-0.9 / total)
        side *= 2
    levels = [max(0, min(255, 2 * level - 128)) for level in range(256)]
    return picture.point(levels * 3)


def emoji() -> Image.Image:
    """A few plain colours with smooth edges."""
    large = Image.new("RGB", (4 * SIDE, 4 * SIDE), "#3a6ea5")
    drawing = ImageDraw.Draw(large)
    drawing.ellipse((300, 300, 1750, 1750), fill="#ffcc4d")
    for left in (650, 1200):
        drawing.ellipse((left, 700, left + 200, 1050), fill="#664500")
    drawing.chord((600, 900, 1450, 1600), 20, 160, fill="#be1931")
    return large.resize(SIZE, Image.Resampling.LANCZOS)


def gradient() -> Image.Image:
    """All hues from left to right, from light to dark."""
    picture = Image.new("RGB", (SIDE, 64))
    picture.putdata(
        [
            tuple(round(255 * level) for level in colorsys.hls_to_rgb(x / SIDE, 0.9 - 0.8 * y / 64, 0.8))
            for y in range(64)
            for x in range(SIDE)
        ]
    )
    return picture.resize(SIZE, Image.Resampling.BICUBIC)
