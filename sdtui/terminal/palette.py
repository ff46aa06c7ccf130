"""The colours of terminals that have few, as palettes that PIL dithers to.

Rich decides what colour code an RGB value becomes on its way out. Both palettes hold RGB values
that Rich maps to the very colours meant here, because a colour moved afterwards undoes the dithering.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sdtui.terminal.cells import RGB

if TYPE_CHECKING:
    from PIL import Image

_CUBE_LEVELS = (0, 95, 135, 175, 215, 255)

XTERM_256: tuple[RGB, ...] = (
    *(
        (red, green, blue)
        for red in _CUBE_LEVELS
        for green in _CUBE_LEVELS
        for blue in _CUBE_LEVELS
        if not red == green == blue or red in (0, 255)
    ),
    *((grey, grey, grey) for grey in (round(255 * step / 25) for step in range(1, 25))),
)
"""xterm's colour cube (16 to 231) and grey ramp (232 to 255).

The first 16 colours belong to the user's theme, so they are left out; so are the cube's own greys,
which the ramp covers. The ramp is written as Rich reads it, at most 7 of 255 lighter than shown.
"""

ANSI_16: tuple[RGB, ...] = (
    (0, 0, 0),
    (170, 0, 0),
    (0, 170, 0),
    (170, 85, 0),
    (0, 0, 170),
    (170, 0, 170),
    (0, 170, 170),
    (170, 170, 170),
    (85, 85, 85),
    (255, 85, 85),
    (85, 255, 85),
    (255, 255, 85),
    (85, 85, 255),
    (255, 85, 255),
    (85, 255, 255),
    (255, 255, 255),
)
"""The 16 colours at their VGA values."""


@cache
def _palette_image(colours: tuple[RGB, ...]) -> Image.Image:
    from PIL import Image

    image = Image.new("P", (1, 1))
    image.putpalette([channel for rgb in colours for channel in rgb])
    return image


def dither(image: Image.Image, colours: tuple[RGB, ...]) -> Image.Image:
    """An RGB image in ``colours`` only, by Floyd-Steinberg error diffusion."""
    from PIL import Image

    return image.quantize(palette=_palette_image(colours), dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
