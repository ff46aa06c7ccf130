"""A picture that shows at a glance what a terminal does to pictures."""

from __future__ import annotations

import colorsys

from PIL import Image, ImageDraw

SIDE = 160


def card() -> Image.Image:
    """Hues from left to right, light from top to bottom, and a white circle on it: 160 x 160 RGB."""
    picture = Image.new("RGB", (SIDE, SIDE))
    pixels = [
        tuple(round(255 * level) for level in colorsys.hls_to_rgb(x / SIDE, 0.9 - 0.8 * y / SIDE, 0.8))
        for y in range(SIDE)
        for x in range(SIDE)
    ]
    picture.putdata(pixels)
    margin = SIDE // 5
    ImageDraw.Draw(picture).ellipse((margin, margin, SIDE - margin, SIDE - margin), outline="white", width=6)
    return picture
