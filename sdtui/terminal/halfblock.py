"""Pictures as half blocks: every cell shows two pixels, one above the other.

Works in every terminal, over every link. PIL does the arithmetic; it is imported by the functions,
so that a first frame without a picture does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.cells import RGB, Cell, Cells, fit
from sdtui.terminal.palette import ANSI_16, XTERM_256, dither
from sdtui.terminal.quantization import in_few_colours

if TYPE_CHECKING:
    from PIL import Image

UPPER, LOWER, FULL, EMPTY = "▀", "▄", "█", " "


def half_blocks(
    image: Image.Image, columns: int, rows: int, depth: ColourDepth, colours: int | None = None
) -> Cells:
    """Draw a picture of any size into at most ``columns`` by ``rows`` cells, its aspect kept.

    A small picture (a preview of the latents) is enlarged smoothly, a large one is filtered down.
    In ``mono`` no colour is set: light is a block, dark is the terminal's ground. With ``colours`` it has
    no more of them: Rich and Textual take their time for each pair that they have not seen.
    """
    columns, rows = fit(image.width, image.height, columns, rows)
    pixels = _resample(image.convert("RGB"), columns, 2 * rows)
    match depth:
        case "truecolor":
            return _coloured(in_few_colours(pixels, colours).convert("RGB") if colours else pixels)
        case "256":
            return _coloured(dither(pixels, XTERM_256))
        case "16":
            return _coloured(dither(pixels, ANSI_16))
        case "grey":
            return _coloured(pixels.convert("L").convert("RGB"))
        case "mono":
            return _monochrome(pixels.convert("1"))


def _resample(image: Image.Image, width: int, height: int) -> Image.Image:
    from PIL import Image

    # On the way down means: nothing comes nearer to what is below them, and a plain ground stays plain.
    enlarge = width > image.width
    return image.resize((width, height), Image.Resampling.BICUBIC if enlarge else Image.Resampling.BOX)


def _coloured(image: Image.Image) -> Cells:
    channels = iter(image.tobytes())
    pixels: list[RGB] = list(zip(channels, channels, channels, strict=True))
    lines = [pixels[start : start + image.width] for start in range(0, len(pixels), image.width)]
    return Cells(
        image.width,
        image.height // 2,
        tuple(
            tuple(Cell(UPPER, above, below) for above, below in zip(upper, lower, strict=True))
            for upper, lower in zip(lines[::2], lines[1::2], strict=True)
        ),
    )


def _monochrome(image: Image.Image) -> Cells:
    shapes = {(True, True): FULL, (True, False): UPPER, (False, True): LOWER, (False, False): EMPTY}
    light = [bool(value) for value in image.convert("L").tobytes()]
    lines = [light[start : start + image.width] for start in range(0, len(light), image.width)]
    return Cells(
        image.width,
        image.height // 2,
        tuple(
            tuple(Cell(shapes[pair], None, None) for pair in zip(upper, lower, strict=True))
            for upper, lower in zip(lines[::2], lines[1::2], strict=True)
        ),
    )
