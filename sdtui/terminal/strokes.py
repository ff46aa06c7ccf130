"""Which columns of six pixels each colour has in each band of a picture, as sixels have it.

The work on single pixels is done by PIL on whole pictures, six rows of a band beside each other, and
by ``bytes.translate``, which deletes what is nothing; Python sees one stroke at a time: equal columns
of one colour beside each other.
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
_ONE = tuple(bytes((character,)) for character in range(128))
_BASE = 255
"""Of the two digits, from 1, that tell an x: 0 is deleted."""


def bands(numbers: Image.Image) -> Iterator[dict[int, bytearray]]:
    """For each band, from the top: for each number in it, a character for each column.

    ``numbers`` (mode L) has a colour's number for each pixel, 1 to 255.
    """
    colours, shapes = _columns(numbers)
    begins, ends = _edges(colours, shapes)
    # What is not the beginning of a stroke becomes 0, and is deleted band by band.
    first, last = _places(numbers.width, begins), _places(numbers.width, ends)
    drawn, shaped = _where(colours, begins), _where(shapes, begins)
    across = numbers.width * BAND
    x_of = {1 + x % _BASE | (1 + x // _BASE) << 8: x for x in range(numbers.width)}.__getitem__
    for start in range(0, len(drawn), across):
        colour_of = drawn[start : start + across].translate(None, b"\0")
        planes = {colour: bytearray(GAP * numbers.width) for colour in set(colour_of)}
        strokes = zip(
            map(x_of, _kept(first[2 * start : 2 * (start + across)])),
            map(x_of, _kept(last[2 * start : 2 * (start + across)])),
            map(planes.__getitem__, colour_of),
            shaped[start : start + across].translate(_CHARACTERS, b"\0"),
            strict=True,
        )
        for begin, end, plane, character in strokes:
            if begin == end:
                plane[begin] = character
            else:
                plane[begin : end + 1] = _ONE[character] * (end + 1 - begin)
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


def _edges(colours: Image.Image, shapes: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Masks (0 or 255) of the pixels where a stroke begins and where it ends."""
    from PIL import Image, ImageChops

    width = colours.width // BAND
    changes = ImageChops.add(
        ImageChops.difference(colours, ImageChops.offset(colours, 1, 0)),
        ImageChops.difference(shapes, ImageChops.offset(shapes, 1, 0)),
    )
    margin = (b"\xff" + bytes(width - 1)) * (BAND * colours.height)
    new = ImageChops.lighter(changes.point(_NONZERO), Image.frombytes("L", colours.size, margin))
    drawn = colours.point(_NONZERO)
    return ImageChops.darker(new, drawn), ImageChops.darker(ImageChops.offset(new, -1, 0), drawn)


def _places(width: int, mask: Image.Image) -> bytes:
    """For each pixel of a mask the two digits of its x, or two zeros."""
    from PIL import Image, ImageChops

    digits = bytes(chain.from_iterable((1 + x % _BASE, 1 + x // _BASE) for x in range(width)))
    low, high = Image.frombytes("LA", mask.size, digits * (BAND * mask.height)).split()
    return Image.merge("LA", (ImageChops.darker(low, mask), ImageChops.darker(high, mask))).tobytes()


def _where(image: Image.Image, mask: Image.Image) -> bytes:
    from PIL import ImageChops

    return ImageChops.darker(image, mask).tobytes()


def _kept(places: bytes) -> memoryview[int]:
    """The places that are any, each in one number."""
    return memoryview(places.translate(None, b"\0")).cast("H")
