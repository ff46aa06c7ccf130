"""Which columns of six pixels each colour has in each band of a picture, as sixels have it.

PIL compares the pixels of whole pictures, six rows of a band beside each other, and ``bytes.translate``
deletes those that add nothing; Python sees what is left: a colour in a column, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

BAND = 6
GAP = b"?"
"""The character of a column without a pixel."""
_NONZERO = (0, *[255] * 255)
_BIT_IF_EQUAL = tuple((1 << row, *[0] * 255) for row in range(BAND))
_CHARACTERS = bytes(63 + bits & 127 for bits in range(256))
_BASE = 255
"""Of the two digits, from 1, that tell an x: 0 is deleted."""


def bands(numbers: Image.Image) -> Iterator[dict[int, bytearray]]:
    """For each band, from the top: for each number in it, a character for each column.

    ``numbers`` (mode L) has a colour's number for each pixel, 1 to 255.
    """
    colours, shapes = _columns(numbers)
    places = _places(numbers.width, colours)
    drawn, shaped = colours.tobytes(), shapes.tobytes()
    across = numbers.width * BAND
    x_of = {1 + x % _BASE | (1 + x // _BASE) << 8: x for x in range(numbers.width)}.__getitem__
    for start in range(0, len(drawn), across):
        # What has been said by a row above is 0, and is deleted.
        colour_of = drawn[start : start + across].translate(None, b"\0")
        xs = memoryview(places[2 * start : 2 * (start + across)].translate(None, b"\0")).cast("H")
        characters = shaped[start : start + across].translate(_CHARACTERS, b"\0")
        planes = {colour: bytearray(GAP * numbers.width) for colour in set(colour_of)}
        for x, plane, character in zip(
            map(x_of, xs), map(planes.__getitem__, colour_of), characters, strict=True
        ):
            plane[x] = character
        yield planes


def _columns(numbers: Image.Image) -> tuple[Image.Image, Image.Image]:
    """For each pixel its colour, and a bit for each row of its column that has the same.

    Both are 0 where a row above, in the band, has said it already. A line of these images is a band.
    """
    from PIL import Image, ImageChops

    width, height = numbers.size
    lines = -(-height // BAND)
    padded = numbers.tobytes() + bytes(width * (lines * BAND - height))
    beside = Image.frombytes("L", (width * BAND, lines), padded)
    rows = [beside.crop((width * row, 0, width * (row + 1), lines)) for row in range(BAND)]
    colours = list(rows)
    shapes = [Image.new("L", (width, lines), 1 << row) for row in range(BAND)]
    for upper, lower in combinations(range(BAND), 2):
        difference = ImageChops.difference(rows[upper], rows[lower])
        shapes[upper] = ImageChops.add(shapes[upper], difference.point(_BIT_IF_EQUAL[lower]))
        colours[lower] = ImageChops.darker(colours[lower], difference.point(_NONZERO))
    drawn = _joined(colours)
    return drawn, ImageChops.darker(_joined(shapes), drawn.point(_NONZERO))


def _joined(rows: list[Image.Image]) -> Image.Image:
    from PIL import Image

    width, lines = rows[0].size
    image = Image.new("L", (width * len(rows), lines))
    for number, row in enumerate(rows):
        image.paste(row, (width * number, 0))
    return image


def _places(width: int, colours: Image.Image) -> bytes:
    """For each pixel of a colour the two digits of its x, for each other two zeros."""
    from PIL import Image, ImageChops

    digits = bytes(chain.from_iterable((1 + x % _BASE, 1 + x // _BASE) for x in range(width)))
    low, high = Image.frombytes("LA", colours.size, digits * (BAND * colours.height)).split()
    mask = colours.point(_NONZERO)
    return Image.merge("LA", (ImageChops.darker(low, mask), ImageChops.darker(high, mask))).tobytes()
