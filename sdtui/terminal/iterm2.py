"""Pictures by iTerm2's inline image protocol, https://iterm2.com/documentation-images.html."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

QUALITIES = (92, 80, 65, 45)
LIMIT = 1_000_000
"""Bytes: iTerm2 drops a longer sequence."""


def inline(image: Image.Image, columns: int, rows: int, bytes_wanted: int = LIMIT) -> bytes:
    """The sequence that draws a picture into a box of cells at the cursor, which ends up anywhere.

    JPEG, of the best quality that keeps it within ``bytes_wanted`` if any does: the protocol takes
    every format, and a photograph as PNG is eight times as long.
    """
    data = b""
    for quality in QUALITIES:
        data = _jpeg(image, quality)
        if len(data) * 4 // 3 <= min(bytes_wanted, LIMIT):
            break
    while len(data) * 4 // 3 > LIMIT:
        image = image.resize((image.width * 2 // 3, image.height * 2 // 3))
        data = _jpeg(image, QUALITIES[-1])
    keys = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=0;doNotMoveCursor=1"
    return b"\x1b]1337;File=" + keys.encode() + b":" + base64.standard_b64encode(data) + b"\x07"


def _jpeg(image: Image.Image, quality: int) -> bytes:
    data = BytesIO()
    # Full colour resolution (4:4:4): these pictures have hard edges of colour.
    image.convert("RGB").save(data, "JPEG", quality=quality, subsampling=0)
    return data.getvalue()
