"""The picture: the biggest thing on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui.strips import strips

if TYPE_CHECKING:
    from PIL import Image


class Canvas(Widget):
    """Draws one picture as large as it fits, in the middle, in half blocks."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"canvas--hint"}

    def __init__(self, depth: ColourDepth, *, id: str) -> None:
        super().__init__(id=id)
        self._depth = depth
        self._image: Image.Image | None = None
        self._hint = ""
        self._drawn: tuple[tuple[int, int], list[Strip]] | None = None

    @property
    def image(self) -> Image.Image | None:
        """What is shown."""
        return self._image

    def show(self, image: Image.Image | None, hint: str = "") -> None:
        """Show a picture of any size, or else a hint."""
        if image is not self._image or hint != self._hint:
            self._image, self._hint = image, hint
            self._drawn = None
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if self._image is None and y == height // 2:
            return Strip(
                [Segment(self._hint.center(width), self.get_component_rich_style("canvas--hint"))], width
            )
        lines = self._lines(width, height)
        above = (height - len(lines)) // 2
        if not above <= y < above + len(lines):
            return Strip.blank(width, self.rich_style)
        line = lines[y - above]
        left = (width - line.cell_length) // 2
        ground = self.rich_style
        margin = [Segment(" " * left, ground)], [Segment(" " * (width - left - line.cell_length), ground)]
        return Strip([*margin[0], *line.apply_style(ground), *margin[1]], width)

    def _lines(self, width: int, height: int) -> list[Strip]:
        """The picture at this size, drawn once."""
        if self._image is None or width < 1 or height < 1:
            return []
        if self._drawn is None or self._drawn[0] != (width, height):
            from sdtui.terminal.halfblock import half_blocks

            self._drawn = (width, height), strips(half_blocks(self._image, width, height, self._depth))
        return self._drawn[1]
