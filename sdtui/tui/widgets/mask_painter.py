"""A picture to paint a mask on, by keyboard or mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingsMap, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.cells import RGB, Cells
from sdtui.tui.key_order import act_in_turn
from sdtui.tui.mask import Mask

if TYPE_CHECKING:
    from PIL import Image

BRUSHES = (0.75, 1.5, 2.5, 4.0, 6.0, 9.0)
"""Radii in half cells, which are about square."""
KEPT = 200
PAINTED = "▒"
WHITE: RGB = (255, 255, 255)
RIGHT_BUTTON = 3


class MaskPainter(Widget, can_focus=True):
    """Every cell has two places, one above the other. With the pen down, moving the cursor paints."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1,0)", "left", id="mask.left"),
        Binding("right", "move(1,0)", "right", id="mask.right"),
        Binding("up", "move(0,-1)", "up", id="mask.up"),
        Binding("down", "move(0,1)", "down", id="mask.down"),
        Binding("shift+left", "move(-8,0)", "far left", id="mask.far-left"),
        Binding("shift+right", "move(8,0)", "far right", id="mask.far-right"),
        Binding("shift+up", "move(0,-8)", "far up", id="mask.far-up"),
        Binding("shift+down", "move(0,8)", "far down", id="mask.far-down"),
        Binding("space", "pen", "put the pen down, or lift it", id="mask.pen"),
        Binding("e", "eraser", "turn the pen into an eraser, or back", id="mask.eraser"),
        Binding("plus_sign", "brush(1)", "a wider brush", key_display="+", id="mask.wider"),
        Binding("minus,hyphen_minus", "brush(-1)", "a narrower brush", key_display="-", id="mask.narrower"),
        Binding("i", "invert", "paint what is not painted", id="mask.invert"),
        Binding("c", "clear", "paint nothing", id="mask.clear"),
        Binding("u,ctrl+z", "undo", "undo", id="mask.undo"),
    ]

    class Painted(Message):
        """The mask, the pen or the brush is another."""

    def __init__(self, depth: ColourDepth, *, id: str) -> None:
        super().__init__(id=id)
        self._depth = depth
        self._image: Image.Image | None = None
        self._cells: Cells | None = None
        self._cursor = (0.5, 0.5)
        self._before: list[Mask] = []
        self.mask: Mask | None = None
        self.down = False
        self.erasing = False
        self.brush = 2

    def show(self, image: Image.Image, mask: Mask) -> None:
        """Paint ``mask`` on a picture of any size."""
        self._image, self.mask = image, mask
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        from sdtui.terminal.halfblock import half_blocks

        if self._image is not None and self.size.width and self.size.height:
            self._cells = half_blocks(self._image, self.size.width, self.size.height, self._depth)
        self.refresh()

    # ---- painting ---------------------------------------------------------------------------

    def _dab(self, across: float, down: float, *, erase: bool) -> None:
        if self.mask is None or self._cells is None:
            return
        radius = BRUSHES[self.brush]
        sizes = radius / self._cells.columns, radius / (2 * self._cells.rows)
        self.mask = self.mask.painted(across, down, sizes, erase=erase)
        self.refresh()
        self.post_message(self.Painted())

    def _remember(self) -> None:
        """What comes next can be taken back at once."""
        if self.mask is not None:
            self._before = [*self._before, self.mask][-KEPT:]

    def action_move(self, across: int, down: int) -> None:
        if self._cells is None:
            return
        counts = self._cells.columns, 2 * self._cells.rows
        self._cursor = tuple(  # type: ignore[assignment]
            min(1 - 0.5 / count, max(0.5 / count, place + by / count))
            for place, by, count in zip(self._cursor, (across, down), counts, strict=True)
        )
        if self.down:
            self._dab(*self._cursor, erase=self.erasing)
        self.refresh()

    def action_pen(self) -> None:
        self.down = not self.down
        if self.down:
            self._remember()
            self._dab(*self._cursor, erase=self.erasing)
        self.refresh()
        self.post_message(self.Painted())

    def action_eraser(self) -> None:
        self.erasing = not self.erasing
        self.post_message(self.Painted())

    def action_brush(self, by: int) -> None:
        self.brush = max(0, min(len(BRUSHES) - 1, self.brush + by))
        self.post_message(self.Painted())

    def action_invert(self) -> None:
        self._change(self.mask.inverted() if self.mask else None)

    def action_clear(self) -> None:
        self._change(self.mask.cleared() if self.mask else None)

    def _change(self, mask: Mask | None) -> None:
        self._remember()
        self.mask = mask
        self.refresh()
        self.post_message(self.Painted())

    def action_undo(self) -> None:
        if self._before:
            self.mask = self._before.pop()
            self.down = False
            self.refresh()
            self.post_message(self.Painted())

    async def on_key(self, event: events.Key) -> None:
        await act_in_turn(self, BindingsMap(self.BINDINGS), event)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self.capture_mouse()
        self._remember()
        self._point(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if event.button and self.app.mouse_captured is self:
            self._point(event)

    def on_mouse_up(self) -> None:
        self.release_mouse()

    def _point(self, event: events.MouseEvent) -> None:
        """Paint under the mouse; with its right button, erase."""
        if self._cells is None:
            return
        left, top = self._corner(self._cells)
        across = (event.x - left + 0.5) / self._cells.columns
        down = (event.y - top + 0.5) / self._cells.rows
        if 0 <= across < 1 and 0 <= down < 1:
            self._cursor = across, down
            self._dab(across, down, erase=self.erasing or event.button == RIGHT_BUTTON)

    # ---- drawing ----------------------------------------------------------------------------

    def _corner(self, cells: Cells) -> tuple[int, int]:
        return (self.size.width - cells.columns) // 2, (self.size.height - cells.rows) // 2

    def render_line(self, y: int) -> Strip:
        ground = self.rich_style
        if self._cells is None:
            return Strip.blank(self.size.width, ground)
        left, top = self._corner(self._cells)
        row = y - top
        if not 0 <= row < self._cells.rows:
            return Strip.blank(self.size.width, ground)
        cells = [self._cell(column, row, self._cells) for column in range(self._cells.columns)]
        return Strip([Segment(" " * left, ground), *cells]).adjust_cell_length(self.size.width, ground)

    def _cell(self, column: int, row: int, cells: Cells) -> Segment:
        """The picture's cell; what is painted is told by a pattern, so that no colour is needed to see it."""
        char, upper, lower = cells.cells[row][column]
        above, below = (self._is_painted(column, 2 * row + half, cells) for half in (0, 1))
        if self.has_focus and (column, row) == self._cursor_cell(cells):
            return Segment(
                "╋" if self.down else "┼", _style(WHITE, (180, 60, 0) if self.erasing else (0, 0, 0))
            )
        if above and below:
            return Segment(PAINTED, _style(WHITE, upper))
        if above:
            return Segment("▀", _style(WHITE, lower))
        if below:
            return Segment("▄", _style(WHITE, upper))
        return Segment(char, _style(upper, lower))

    def _is_painted(self, column: int, half_row: int, cells: Cells) -> bool:
        place = (column + 0.5) / cells.columns, (half_row + 0.5) / (2 * cells.rows)
        return self.mask is not None and self.mask.at(*place)

    def _cursor_cell(self, cells: Cells) -> tuple[int, int]:
        across, down = self._cursor
        return min(cells.columns - 1, int(across * cells.columns)), min(
            cells.rows - 1, int(down * cells.rows)
        )


def _style(foreground: RGB | None, background: RGB | None) -> Style:
    return Style.from_color(
        Color.from_rgb(*foreground) if foreground else None,
        Color.from_rgb(*background) if background else None,
    )
