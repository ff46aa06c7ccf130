"""Thumbnails as rows of cells, drawn once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui.strips import strips

if TYPE_CHECKING:
    from PIL import Image

KEPT = 400
WAITING, MISSING = "▫", "✗"


class Thumbnails:
    """Pictures by id, each in a box of ``columns`` by ``rows`` cells."""

    def __init__(self, columns: int, rows: int, depth: ColourDepth) -> None:
        self.columns = columns
        self.rows = rows
        self._depth = depth
        self._lines: OrderedDict[int, list[Strip] | None] = OrderedDict()

    @property
    def known(self) -> Collection[int]:
        """The ids that are here."""
        return self._lines.keys()

    def add(self, images: Mapping[int, Image.Image | None]) -> None:
        """Take images of any size; None for a picture that cannot be read."""
        from sdtui.terminal.halfblock import half_blocks

        for identity, image in images.items():
            self._lines[identity] = (
                strips(half_blocks(image, self.columns, self.rows, self._depth)) if image else None
            )
            self._lines.move_to_end(identity)
        while len(self._lines) > KEPT:
            self._lines.popitem(last=False)

    def row(self, identity: int, y: int, ground: Style) -> list[Segment]:
        """Row ``y`` of a picture's box, as wide as the box, on ``ground``."""
        lines = self._lines.get(identity)
        if lines is None:
            sign = MISSING if identity in self._lines else WAITING
            return [Segment((sign if y == self.rows // 2 else "").center(self.columns), ground)]
        above = (self.rows - len(lines)) // 2
        if not above <= y < above + len(lines):
            return [Segment(" " * self.columns, ground)]
        line = lines[y - above]
        left = (self.columns - line.cell_length) // 2
        right = self.columns - left - line.cell_length
        return [Segment(" " * left, ground), *line.apply_style(ground), Segment(" " * right, ground)]
