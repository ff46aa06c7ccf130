"""Where a picture is to be painted anew: dots of a mask, and the picture file they become."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import create_numbered, reason
from sdtui.settings import places

if TYPE_CHECKING:
    from PIL import Image

DOTS = 128
"""Along the longer side: two to a latent of a picture of 512 pixels."""


class MaskError(SdtuiError):
    """A mask cannot be written."""


class Mask(msgspec.Struct, frozen=True):
    """``width`` by ``height`` dots, row by row; 255 is painted anew, 0 stays.

    Places are told as fractions of the picture's width and height, from its upper left corner.
    """

    width: int
    height: int
    dots: bytes

    @property
    def empty(self) -> bool:
        """Whether nothing is painted."""
        return not any(self.dots)

    @property
    def share(self) -> float:
        """How much of the picture is painted."""
        return self.dots.count(255) / len(self.dots)

    def at(self, across: float, down: float) -> bool:
        """Whether a place is painted."""
        column = min(self.width - 1, int(across * self.width))
        row = min(self.height - 1, int(down * self.height))
        return self.dots[row * self.width + column] == 255

    def painted(self, across: float, down: float, radius: tuple[float, float], *, erase: bool) -> Mask:
        """The mask after a dab of a round brush there, of this radius across and down."""
        dots = bytearray(self.dots)
        for row in range(*_touched(down, radius[1], self.height)):
            for column in range(*_touched(across, radius[0], self.width)):
                x = ((column + 0.5) / self.width - across) / radius[0]
                y = ((row + 0.5) / self.height - down) / radius[1]
                if x * x + y * y <= 1:
                    dots[row * self.width + column] = 0 if erase else 255
        return Mask(self.width, self.height, bytes(dots))

    def inverted(self) -> Mask:
        """What was painted stays, the rest is painted."""
        return Mask(self.width, self.height, bytes(255 - dot for dot in self.dots))

    def cleared(self) -> Mask:
        """Nothing is painted."""
        return Mask(self.width, self.height, bytes(len(self.dots)))


def new_mask(width: int, height: int) -> Mask:
    """An empty mask for a picture of so many pixels."""
    scale = DOTS / max(width, height)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    return Mask(columns, rows, bytes(columns * rows))


def read_mask(path: Path, width: int, height: int) -> Mask:
    """The mask in a picture file, for a picture of so many pixels; empty where it cannot be read."""
    from PIL import Image

    empty = new_mask(width, height)
    try:
        with Image.open(path) as image:
            grey = image.convert("L").resize((empty.width, empty.height), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError):
        return empty
    return Mask(empty.width, empty.height, bytes(255 * (level > 127) for level in grey.tobytes()))


def write_mask(mask: Mask, width: int, height: int) -> Path:
    """Write a grey PNG of so many pixels, white where it is painted. Raises :class:`MaskError`."""
    file = io.BytesIO()
    _image(mask).resize((width, height), 0).save(file, "PNG")
    folder = places().state / "masks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return create_numbered(folder, "mask", ".png", file.getvalue())
    except OSError as error:
        raise MaskError(f"the mask cannot be written to {folder}", reason(error), "make room") from error


def _image(mask: Mask) -> Image.Image:
    from PIL import Image

    return Image.frombytes("L", (mask.width, mask.height), mask.dots)


def _touched(centre: float, radius: float, count: int) -> tuple[int, int]:
    """The first dot that a brush may touch in one direction, and the one after the last."""
    return max(0, int((centre - radius) * count)), min(count, int((centre + radius) * count) + 1)
