"""Pictures as sixels: bands of six pixel rows, one run of characters for each colour in a band.

The format is DEC's, https://vt100.net/docs/vt3xx-gp/chapter14.html. The encoder needs nothing but PIL,
so the interface stays without numpy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

BAND = 6
PALETTE_SIDE = 160
"""Pixels a side of the copy from which the colours are chosen, at most."""
_RUN = re.compile(rb"(.)\1{3,254}", re.DOTALL)
_AS_CHARACTERS = bytes(63 + bits & 127 for bits in range(256))
_BITS = tuple(1 << row for row in range(BAND))


def sixels(image: Image.Image, colours: int = 256, dither: bool = True) -> bytes:
    """The sequence that draws a picture pixel for pixel, its top left corner at the cursor.

    ``colours`` (2 to 256) are chosen by median cut. Pixels below the picture's last row, in the last
    band, are left as they are. The terminal's cursor ends below it, and a terminal whose last row is
    touched scrolls: keep away from it, and put the cursor back.
    """
    from PIL import Image

    picture = image.convert("RGB")
    palette = _reduced(picture).quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    diffusion = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
    indexed = picture.quantize(palette=palette, dither=diffusion)
    # P1 = 7: square pixels; P2 = 1: what no colour covers stays.
    head = f'\x1bP7;1q"1;1;{indexed.width};{indexed.height}'.encode()
    return b"".join((head, _palette(indexed), *_bands(indexed), b"\x1b\\"))


def _reduced(picture: Image.Image) -> Image.Image:
    """Fewer pixels with the same colours: what the choice of a palette costs is in their number."""
    from PIL import Image

    shrunk = picture.copy()
    shrunk.thumbnail((PALETTE_SIDE, PALETTE_SIDE), Image.Resampling.NEAREST)
    return shrunk


def _palette(indexed: Image.Image) -> bytes:
    used = sorted(set(indexed.tobytes()))
    levels = indexed.getpalette("RGB") or []
    percents = [round(level * 100 / 255) for level in levels]
    return b"".join(b"#%d;2;%d;%d;%d" % (colour, *percents[3 * colour : 3 * colour + 3]) for colour in used)


def _bands(indexed: Image.Image) -> list[bytes]:
    width, pixels = indexed.width, indexed.tobytes()
    rows = [pixels[start : start + width] for start in range(0, len(pixels), width)]
    return [_band(rows[start : start + BAND]) for start in range(0, len(rows), BAND)]


def _band(rows: list[bytes]) -> bytes:
    """Each colour draws its pixels from the left, ``$`` goes back, ``-`` on to the next band."""
    planes = {colour: bytearray(len(rows[0])) for colour in sorted(set().union(*rows))}
    for bit, row in zip(_BITS, rows, strict=False):
        for x, colour in enumerate(row):
            planes[colour][x] |= bit
    return b"$".join(b"#%d%s" % (colour, _characters(bits)) for colour, bits in planes.items()) + b"-"


def _characters(bits: bytearray) -> bytes:
    """Six bits for each column as characters, equal ones counted, nothing after the last."""
    return _RUN.sub(_shortened, bits.translate(_AS_CHARACTERS).rstrip(b"?"))


def _shortened(run: re.Match[bytes]) -> bytes:
    return b"!%d%s" % (run.end() - run.start(), run.group(1))
