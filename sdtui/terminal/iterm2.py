"""Pictures by iTerm2's inline image protocol, https://iterm2.com/documentation-images.html."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

from sdtui.terminal.png import png

if TYPE_CHECKING:
    from PIL import Image

QUALITIES = (92, 80, 65, 45)
LIMIT = 1_000_000
"""Bytes: iTerm2 drops a longer sequence."""


def inline(image: Image.Image, columns: int, rows: int, bytes_wanted: int = LIMIT) -> bytes:
    """The sequence that draws a picture into a box of cells at the cursor, which ends up anywhere.

    PNG, every pixel kept, where that stays within ``bytes_wanted``; else JPEG, of the best quality that
    does, if any does.
    """
    data = _within(image.convert("RGB"), min(bytes_wanted, LIMIT) * 3 // 4)
    keys = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=0;doNotMoveCursor=1"
    return b"\x1b]1337;File=" + keys.encode() + b":" + base64.standard_b64encode(data) + b"\x07"


def _within(image: Image.Image, bytes_wanted: int) -> bytes:
    if image.width * image.height <= bytes_wanted and len(data := png(image)) <= bytes_wanted:
        return data
    for quality in QUALITIES:
        data = _jpeg(image, quality)
        if len(data) <= bytes_wanted:
            break
    while len(data) > LIMIT * 3 // 4:
        image = image.resize((image.width * 2 // 3, image.height * 2 // 3))
        data = _jpeg(image, QUALITIES[-1])
    return data


def _jpeg(image: Image.Image, quality: int) -> bytes:
    data = BytesIO()
    # Full colour resolution (4:4:4): these pictures have hard edges of colour.
    image.save(data, "JPEG", quality=quality, subsampling=0)
    return data.getvalue()
