"""A picture in a box of cells, as pieces of bytes that may be sent one after the other."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sdtui.terminal import iterm2, kitty, sixel
from sdtui.terminal.answers import CellSize
from sdtui.terminal.columns import BAND
from sdtui.terminal.quantization import PASSING_COLOURS
from sdtui.terminal.questions import through_tmux

if TYPE_CHECKING:
    from PIL import Image

Drawn = Literal["kitty", "iterm2", "sixel"]

TRUE_COLOUR_BYTES, INDEXED_BYTES, SIXEL_BYTES, JPEG_BYTES = 4.1, 1.4, 1.2, 0.8
"""On the wire for each pixel, at worst (early steps are noise)."""
PALETTE = 1200
"""Bytes for 256 colours, and for what surrounds a picture."""
COARSE = 3
"""Pixels of a terminal, along a side, to one of a preview in sixels."""


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


def draw(
    protocol: Drawn, image: Image.Image, box: Box, slice_bytes: int, budget: int = sys.maxsize
) -> list[Piece]:
    """Encode a picture as good as the box can show it, in pieces of about ``slice_bytes``.

    Where it would take more than ``budget`` bytes it loses colours or detail; sixels have none to lose.
    """
    match protocol:
        case "kitty":
            return _kitty(image, box, slice_bytes, budget)
        case "iterm2":
            return _iterm2(image, box, slice_bytes, budget)
        case "sixel":
            return _sixel(image, box, slice_bytes)


def preview(protocol: Drawn, image: Image.Image, box: Box, budget: int) -> list[Piece]:
    """Encode what the next step replaces, in one piece: as many pixels and colours as ``budget`` pays for."""
    if protocol == "kitty":
        return _kitty(image, box, sys.maxsize, budget)
    if protocol == "sixel":
        return [Piece(sixel.sixels(_coarse(image, box), PASSING_COLOURS), 0)]
    reduced = _within_bytes(_within(image.convert("RGB"), *box.pixels), budget, JPEG_BYTES)
    return [Piece(iterm2.inline(reduced, box.columns, box.rows, budget), 0)]


def _kitty(image: Image.Image, box: Box, slice_bytes: int, budget: int) -> list[Piece]:
    reduced = _within(image.convert("RGB"), *box.pixels)
    if reduced.width * reduced.height * TRUE_COLOUR_BYTES > budget:
        reduced = _few_colours(_within_bytes(reduced, budget - PALETTE, INDEXED_BYTES))
    commands = kitty.transmit(reduced, box.identity, box.columns, box.rows)
    if box.wrapped:
        commands = [through_tmux(command) for command in commands]
    together = max(1, slice_bytes // (kitty.CHUNK + 50))
    return [
        Piece(b"".join(commands[start : start + together])) for start in range(0, len(commands), together)
    ]


def _iterm2(image: Image.Image, box: Box, slice_bytes: int, budget: int) -> list[Piece]:
    full = _within(image.convert("RGB"), *box.pixels)
    whole = iterm2.inline(full, box.columns, box.rows, budget)
    strips = min(box.rows, math.ceil(len(whole) / slice_bytes))
    if strips == 1:
        return [Piece(whole, 0)]
    edges = [round(box.rows * number / strips) for number in range(strips + 1)]
    return [
        Piece(iterm2.inline(_rows(full, box, top, bottom), box.columns, bottom - top, budget // strips), top)
        for top, bottom in itertools.pairwise(edges)
    ]


def _sixel(image: Image.Image, box: Box, slice_bytes: int) -> list[Piece]:
    full = _whole_bands(image, box)
    strips = math.ceil(full.width * full.height * SIXEL_BYTES / slice_bytes)
    each = full.height / strips
    height = box.pixels[1] // box.rows
    together = BAND // math.gcd(BAND, height)  # rows of cells that are whole bands
    edges = [together * round(each * number / height / together) for number in range(strips)]
    return [
        Piece(sixel.sixels(full.crop((0, top * height, full.width, bottom))), top)
        for top, bottom in itertools.pairwise(sorted({*edges, box.rows}))
        for bottom in (min(bottom * height, full.height),)
    ]


def _whole_bands(image: Image.Image, box: Box) -> Image.Image:
    """At the size of the box, less what would be part of a band: tmux paints another row of cells for it."""
    width, height = box.pixels
    return _exactly(image.convert("RGB"), width, height).crop((0, 0, width, max(1, height - height % BAND)))


def _coarse(image: Image.Image, box: Box) -> Image.Image:
    """The same in fewer pixels, each enlarged: less to encode, and nothing lost of a small preview."""
    from PIL import Image

    width, height = box.pixels
    small = _exactly(image.convert("RGB"), max(1, width // COARSE), max(1, height // COARSE))
    return _whole_bands(small.resize((width, height), Image.Resampling.NEAREST), box)


def _rows(image: Image.Image, box: Box, top: int, bottom: int) -> Image.Image:
    scale = image.height / box.rows
    upper, lower = round(top * scale), round(bottom * scale)
    return image.crop((0, upper, image.width, max(upper + 1, lower)))


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
