"""The picture: the biggest thing on the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.cells import fit
from sdtui.terminal.kitty import LIMIT, colour_of, following, placeholder
from sdtui.tui.projector import Projecting, Projector, Sight
from sdtui.tui.strips import strips

if TYPE_CHECKING:
    from PIL import Image

Way = Literal["cells", "placeholders", "ground", "refusal"]
OFF = "pictures are turned off here"


class Canvas(Widget):
    """Draws one picture as large as it fits, in the middle, as the terminal can.

    Half blocks and kitty's placeholders are drawn here, as text. Under a picture in sixels or iTerm2's
    way only the ground is drawn; the app's projector puts the picture on it, and again whenever Textual
    has drawn there.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"canvas--hint"}

    def __init__(self, depth: ColourDepth, *, id: str) -> None:
        super().__init__(id=id)
        self._depth = depth
        self._projector = Projector(depth=depth)
        self._image: Image.Image | None = None
        self._passing = False
        self._as_text: Image.Image | None = None
        self._hint = ""
        self._drawn: tuple[object, list[Strip]] | None = None
        self._cells: tuple[object, list[Strip]] | None = None
        self._painted = 0
        self._standing = True, False
        """Whether no screen lay above this one, and whether something of this one lay above the canvas,
        when it was last drawn."""

    @property
    def image(self) -> Image.Image | None:
        """What is shown."""
        return self._image

    def show(self, image: Image.Image | None, hint: str = "", *, passing: bool = False) -> None:
        """Show a picture of any size, or else a hint; a ``passing`` one is a preview of what comes."""
        if image is self._image and hint == self._hint and passing == self._passing:
            return
        box = self._box()
        self._image, self._hint, self._passing = image, hint, passing
        if not passing or self._projector.through_text:
            self._as_text = image
        if self._way() == "cells":
            if self._as_text is image:
                self.refresh()
        elif box != self._box() or image is None:
            self.refresh()
        self._projector.changed()

    # ---- what the projector asks ------------------------------------------------------------

    def on_mount(self) -> None:
        if isinstance(self.app, Projecting):
            self._projector = self.app.projector
        self._projector.add(self)

    def on_unmount(self) -> None:
        self._projector.remove(self)

    def sight(self) -> Sight | None:
        """What should be seen now, and where; None while there is nothing, or something lies above."""
        if self._image is None or not self.is_attached or not self._in_front():
            return None
        direct = self._projector.choice.protocol in ("sixel", "iterm2")
        box = self._box()
        if box is None or (direct and self._covered):
            return None
        return Sight(self._image, self._passing, box.translate(self.region.offset), self._painted)

    def draw_cells(self) -> bool:
        """Draw the newest picture as text; False when it has been."""
        if self._as_text is self._image:
            return False
        self._as_text = self._image
        self.refresh()
        return True

    def redraw(self) -> None:
        """Draw everything anew."""
        self._as_text = self._image
        self.refresh()

    def notice(self, written: Callable[[Region], bool]) -> None:
        """Textual has written to the screen."""
        box = self._box()
        if box is not None and written(box.translate(self.region.offset)):
            self._painted += 1
        way = self._way(), self._covered
        self._standing = self._in_front(), self._lies_under()
        if way != (self._way(), self._covered) and self._projector.choice.protocol != "halfblock":
            self._as_text = self._image
            self.refresh()

    # ---- where ------------------------------------------------------------------------------

    def _way(self) -> Way:
        match self._projector.choice.protocol:
            case "halfblock":
                return "cells"
            case "none":
                return "refusal"
            case _ if not self._standing[0]:
                return "ground"
            case "kitty":
                return "placeholders"
            case _:
                return "cells" if self._covered else "ground"

    def _in_front(self) -> bool:
        """Whether no other screen lies above this one."""
        return self.is_attached and self.app.screen is self.screen

    @property
    def _covered(self) -> bool:
        """Whether a part of the canvas lay under something."""
        return self._standing[1]

    def _lies_under(self) -> bool:
        """Whether something of this screen, a notice or a drawer, lies over a part of the canvas."""
        if not self.is_attached:
            return False
        for widget, (region, clip) in self.screen._compositor.visible_widgets.items():
            if widget is self:
                return not clip.contains_region(region)
            if region.intersection(clip).overlaps(self.region) and widget not in self.ancestors:
                return True
        return True

    def _box(self) -> Region | None:
        """The picture's cells, counted from the canvas's corner."""
        width, height = self.size
        if self._image is None or width < 1 or height < 1:
            return None
        protocol = self._projector.choice.protocol
        # A picture that touches the last row of the screen would scroll it.
        if protocol in ("sixel", "iterm2") and self.region.bottom >= self.app.size.height:
            height = max(1, height - 1)
        columns, rows = width, height
        if self._passing:
            columns, rows = self._projector.room(width, height)
        cell = self._projector.cell if protocol not in ("halfblock", "none") else None
        aspect = cell.height / cell.width if cell else 2.0
        columns, rows = fit(self._image.width, self._image.height, columns, rows, aspect)
        if protocol == "kitty":
            columns, rows = min(columns, LIMIT), min(rows, LIMIT)
        return Region((width - columns) // 2, (height - rows) // 2, columns, rows)

    # ---- drawing ----------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        way = self._way()
        if (self._image is None or way == "refusal") and y == height // 2:
            hint = self._hint if self._image is None else OFF
            return Strip([Segment(hint.center(width), self.get_component_rich_style("canvas--hint"))], width)
        match way:
            case "cells":
                lines = self._lines(width, height)
            case "placeholders":
                lines = self._placeholders()
            case _:
                lines = []
        above = (height - len(lines)) // 2
        if not above <= y < above + len(lines):
            return Strip.blank(width, self.rich_style)
        line = lines[y - above]
        left = (width - line.cell_length) // 2
        ground = self.rich_style
        margin = [Segment(" " * left, ground)], [Segment(" " * (width - left - line.cell_length), ground)]
        return Strip([*margin[0], *line.apply_style(ground), *margin[1]], width)

    def _lines(self, width: int, height: int) -> list[Strip]:
        """The picture in half blocks at this size, drawn once."""
        if self._as_text is None or width < 1 or height < 1:
            return []
        box = self._projector.room(width, height) if self._passing else (width, height)
        key = (id(self._as_text), box, self._passing)
        if self._drawn is None or self._drawn[0] != key:
            from sdtui.terminal.halfblock import half_blocks
            from sdtui.terminal.quantization import PASSING_COLOURS

            colours = PASSING_COLOURS if self._passing else None
            self._drawn = key, strips(half_blocks(self._as_text, *box, self._depth, colours))
        return self._drawn[1]

    def _placeholders(self) -> list[Strip]:
        """The cells in which the terminal shows the picture that it was sent.

        Only the first of a row says where it is; those after it follow from it, unless something lies
        between: then each says it.
        """
        box = self._box()
        if box is None:
            return []
        identity = self._projector.identity(self)
        key = identity, box.size, self._covered
        if self._cells is None or self._cells[0] != key:
            style = Style.from_color(Color.from_rgb(*colour_of(identity, self._depth)))
            alone = box.width if self._covered else 1
            self._cells = (
                key,
                [
                    Strip(
                        [
                            *(Segment(placeholder(row, column), style) for column in range(alone)),
                            Segment(following(box.width - alone), style),
                        ],
                        box.width,
                    )
                    for row in range(box.height)
                ],
            )
        return self._cells[1]
