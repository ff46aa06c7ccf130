"""A picture in a box of cells, as pieces of bytes that may be sent one after the other."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sdtui.terminal import iterm2, kitty, sixel
from sdtui.terminal.answers import CellSize
from sdtui.terminal.questions import through_tmux

if TYPE_CHECKING:
    from PIL import Image

Drawn = Literal["kitty", "iterm2", "sixel"]

TRUE_COLOUR_BYTES, INDEXED_BYTES, SIXEL_BYTES, JPEG_BYTES = 4.1, 1.4, 1.2, 0.8
"""On the wire for each pixel, at worst (early steps are noise)."""
PALETTE = 1200
"""Bytes for 256 colours, and for what surrounds a picture."""
PASSING_COLOURS = 32


@dataclass(frozen=True)
class Box:
    """Where a picture goes: ``columns`` by ``rows`` cells of ``cell`` pixels.

    ``identity`` is its number in kitty's protocol; ``wrapped`` says that tmux hands it on.
    """

    columns: int
    rows: int
    cell: CellSize | None = None
    identity: int = 0
    wrapped: bool = False

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height; a terminal that does not tell has middling cells."""
        cell = self.cell or CellSize(10, 20)
        return self.columns * cell.width, self.rows * cell.height


@dataclass(frozen=True)
class Piece:
    """Bytes to be sent at once; those with a ``row`` draw at the cursor, so many rows below the top."""

    data: bytes
    row: int | None = None

    def at(self, x: int, y: int) -> bytes:
        """The piece of a picture whose top left cell is (x, y), from 0; the cursor stays where it is."""
        if self.row is None:
            return self.data
        return b"\x1b7\x1b[%d;%dH%s\x1b8" % (y + self.row + 1, x + 1, self.data)


def draw(protocol: Drawn, image: Image.Image, box: Box, slice_bytes: int, budget: int | None) -> list[Piece]:
    """Encode a picture for a terminal.

    ``budget`` is what the whole may take in bytes: it is kept by fewer pixels and colours, as suits a
    preview that the next step replaces. Without one, the picture is as good as the box can show it, in
    pieces of about ``slice_bytes``.
    """
    if protocol == "kitty":
        return _kitty(image, box, slice_bytes, budget)
    return _at_the_cursor(protocol, image, box, slice_bytes, budget)


def _kitty(image: Image.Image, box: Box, slice_bytes: int, budget: int | None) -> list[Piece]:
    reduced = _within(image.convert("RGB"), *box.pixels)
    if budget is not None and reduced.width * reduced.height * TRUE_COLOUR_BYTES > budget:
        reduced = _few_colours(_within_bytes(reduced, budget - PALETTE, INDEXED_BYTES))
    commands = kitty.transmit(reduced, box.identity, box.columns, box.rows)
    if box.wrapped:
        commands = [through_tmux(command) for command in commands]
    together = max(1, slice_bytes // (kitty.CHUNK + 50))
    return [
        Piece(b"".join(commands[start : start + together])) for start in range(0, len(commands), together)
    ]


def _at_the_cursor(
    protocol: Drawn, image: Image.Image, box: Box, slice_bytes: int, budget: int | None
) -> list[Piece]:
    """These protocols know no parts of a picture: on a slow link it is sent as several, one below another."""
    width, height = box.pixels
    weight = SIXEL_BYTES if protocol == "sixel" else JPEG_BYTES
    strips = min(box.rows, math.ceil(width * height * weight / slice_bytes)) if budget is None else 1
    edges = [round(box.rows * number / strips) for number in range(strips + 1)]
    full = image.convert("RGB")
    if protocol == "sixel":
        full = _exactly(full, width, height)
    elif budget is not None:
        full = _within_bytes(full, budget, JPEG_BYTES)
    return [
        Piece(_strip(protocol, _rows(full, box, top, bottom), box.columns, bottom - top, budget), top)
        for top, bottom in itertools.pairwise(edges)
    ]


def _rows(image: Image.Image, box: Box, top: int, bottom: int) -> Image.Image:
    scale = image.height / box.rows
    upper, lower = round(top * scale), round(bottom * scale)
    return image.crop((0, upper, image.width, max(upper + 1, lower)))


def _strip(protocol: Drawn, image: Image.Image, columns: int, rows: int, budget: int | None) -> bytes:
    if protocol == "iterm2":
        return iterm2.inline(image, columns, rows, iterm2.LIMIT if budget is None else budget)
    if budget is None:
        return sixel.sixels(image)
    return sixel.sixels(image, PASSING_COLOURS, dither=False)


def _exactly(image: Image.Image, width: int, height: int) -> Image.Image:
    from PIL import Image

    if image.size == (width, height):
        return image
    # Lanczos keeps detail on the way down; on the way up it would ring, so bicubic.
    way = Image.Resampling.BICUBIC if width > image.width else Image.Resampling.LANCZOS
    return image.resize((width, height), way)


def _within(image: Image.Image, width: int, height: int) -> Image.Image:
    """No more pixels than the box has: the terminal would only throw them away."""
    if image.width <= width and image.height <= height:
        return image
    scale = min(width / image.width, height / image.height)
    return _exactly(image, max(1, round(image.width * scale)), max(1, round(image.height * scale)))


def _within_bytes(image: Image.Image, budget: int, bytes_a_pixel: float) -> Image.Image:
    """No more pixels than ``budget`` has bytes for; at least 16 on the longer side."""
    scale = min(1.0, math.sqrt(max(1, budget) / (image.width * image.height * bytes_a_pixel)))
    scale = max(scale, min(1.0, 16 / max(image.size)))
    return _exactly(image, max(1, round(image.width * scale)), max(1, round(image.height * scale)))


def _few_colours(image: Image.Image) -> Image.Image:
    from PIL import Image

    return image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
