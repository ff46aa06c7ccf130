"""What a terminal would show of what it was sent, told by decoders that know nothing of the encoders."""

from __future__ import annotations

import base64
import math
import re
from io import BytesIO

import pyte
from PIL import Image, ImageChops

from tests.terminal.sixel_decoder import decode

COLUMNS, ROWS = 64, 32


def kitty(sent: bytes) -> Image.Image:
    """A picture from kitty's commands, as PNG or as plain pixels."""
    (keys, *_), payload = zip(*re.findall(rb"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\", sent), strict=True)
    told = dict(key.split("=") for key in keys.decode().split(","))
    data = b"".join(map(base64.b64decode, payload))
    if told["f"] == "100":
        return Image.open(BytesIO(data)).convert("RGB")
    size = int(told["s"]), int(told["v"])
    return Image.frombytes({"24": "RGB", "32": "RGBA"}[told["f"]], size, data).convert("RGB")


def iterm2(sent: bytes) -> Image.Image:
    """A picture in iTerm2's way."""
    found = re.search(rb"\x1b\]1337;File=[^:]*:([^\x07\x1b]*)", sent)
    assert found
    return Image.open(BytesIO(base64.b64decode(found[1]))).convert("RGB")


def sixel(sent: bytes) -> Image.Image:
    """A picture in sixels."""
    start = sent.index(b"\x1bP")
    size, pixels = decode(sent[start : sent.index(b"\x1b\\", start) + 2])
    image = Image.new("RGB", size)
    for place, colour in pixels.items():
        image.putpixel(place, colour)
    return image


def halfblock(sent: bytes) -> Image.Image:
    """Half blocks, two pixels a cell."""
    screen = pyte.Screen(COLUMNS, ROWS + 2)
    pyte.ByteStream(screen).feed(sent.replace(b"\n", b"\r\n"))
    image = Image.new("RGB", (COLUMNS, 2 * ROWS))
    for y in range(ROWS):
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            upper, lower = {"▀": (cell.fg, cell.bg), "▄": (cell.bg, cell.fg), "█": (cell.fg, cell.fg)}.get(
                cell.data, (cell.bg, cell.bg)
            )
            image.putpixel((x, 2 * y), _rgb(upper))
            image.putpixel((x, 2 * y + 1), _rgb(lower))
    return image


def _rgb(colour: str) -> tuple[int, int, int]:
    return (0, 0, 0) if colour == "default" else tuple(bytes.fromhex(colour))  # type: ignore[return-value]


def psnr(shown: Image.Image, picture: Image.Image) -> float:
    """In dB, over the rows that both have; half blocks are enlarged first, pixel by pixel."""
    if shown.width < picture.width:
        shown = shown.resize(picture.size, Image.Resampling.NEAREST)
    box = (0, 0, picture.width, min(shown.height, picture.height))
    histogram = ImageChops.difference(shown.crop(box), picture.crop(box)).histogram()
    squares = sum(count * (number % 256) ** 2 for number, count in enumerate(histogram))
    return 10 * math.log10(255**2 * 3 * box[2] * box[3] / squares) if squares else math.inf
