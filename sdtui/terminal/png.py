"""PNG for the way to a terminal: a third of the time that PIL takes, at about the same size.

PIL tries five filters on every row. The difference to the pixel on the left is nearly as good, and two
operations on the whole picture; counting runs is all the compression that pays after it.
https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _TRUE_COLOURS = 8, 2
_SUB = b"\x01"
"""The filter's number, at the beginning of each row."""


def png(image: Image.Image) -> bytes:
    """An RGB picture, every pixel kept."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    data = compressor.compress(_filtered(image)) + compressor.flush()
    head = struct.pack(">IIBBBBB", image.width, image.height, _EIGHT_BITS, _TRUE_COLOURS, 0, 0, 0)
    return b"".join((_SIGNATURE, _chunk(b"IHDR", head), _chunk(b"IDAT", data), _chunk(b"IEND", b"")))


def _filtered(image: Image.Image) -> bytes:
    from PIL import Image, ImageChops

    left = Image.new("RGB", image.size)
    left.paste(image, (1, 0))
    differences = ImageChops.subtract_modulo(image, left).tobytes()
    row = 3 * image.width
    return b"".join([_SUB + differences[start : start + row] for start in range(0, len(differences), row)])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))))
