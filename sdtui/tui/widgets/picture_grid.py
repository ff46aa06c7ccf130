"""Many pictures, small, in rows and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingsMap, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui.figures import shortened
from sdtui.tui.key_order import act_in_turn
from sdtui.tui.session import Picture
from sdtui.tui.widgets.thumbnails import Thumbnails

if TYPE_CHECKING:
    from PIL import Image

COLUMNS, ROWS = 16, 8
"""A thumbnail's cells; a line of words stands under it."""
ACROSS, DOWN = COLUMNS + 2, ROWS + 2
"""From one picture to the next, words and a space between them."""
FAVOURITE, MARKED, CURRENT = "♥", "=", "▸"


class PictureGrid(Widget, can_focus=True):
    """Knows all pictures by id, and asks for those in sight. One of them is the current one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "the picture before", id="gallery.before", show=False),
        Binding("right", "move(1)", "the next picture", id="gallery.next", show=False),
        Binding("up", "move_rows(-1)", "a row up", id="gallery.up", show=False),
        Binding("down", "move_rows(1)", "a row down", id="gallery.down", show=False),
        Binding("pageup", "move_pages(-1)", "a page up", id="gallery.page-up", show=False),
        Binding("pagedown", "move_pages(1)", "a page down", id="gallery.page-down", show=False),
        Binding("home", "move(-1000000000)", "the first picture", id="gallery.first", show=False),
        Binding("end", "move(1000000000)", "the last picture", id="gallery.last", show=False),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--words", "grid--current"}

    class Moved(Message):
        """Another picture is the current one."""

    @dataclass
    class Wanted(Message):
        """These pictures are in sight, and those ``have`` have their thumbnails."""

        identities: Sequence[int]
        have: Sequence[int]

    def __init__(self, depth: ColourDepth, *, id: str) -> None:
        super().__init__(id=id)
        self._thumbnails = Thumbnails(COLUMNS, ROWS, depth)
        self._pictures: dict[int, Picture] = {}
        self._identities: tuple[int, ...] = ()
        self._index = 0
        self._top = 0
        self._marked: int | None = None
        self._asked: tuple[int, ...] = ()
        self._nothing = ""

    # ---- what there is ----------------------------------------------------------------------

    @property
    def identities(self) -> tuple[int, ...]:
        """All pictures, in their order."""
        return self._identities

    @property
    def index(self) -> int:
        """Where the current picture stands among them."""
        return self._index

    @property
    def current(self) -> Picture | None:
        """The current picture; None where there is none, and while it is being read."""
        return self._pictures.get(self._identities[self._index]) if self._identities else None

    def list(self, identities: tuple[int, ...], nothing: str) -> None:
        """Show these; the current picture stays the current one where it is among them.

        ``nothing`` says why there are none.
        """
        self._nothing = nothing
        before = self._identities[self._index] if self._identities else None
        self._identities = identities
        found = identities.index(before) if before in identities else min(self._index, len(identities) - 1)
        self._go(max(0, found))

    def read(self, pictures: Iterable[Picture]) -> None:
        """Know these pictures as they are now."""
        self._pictures |= {picture.id: picture for picture in pictures}
        self.refresh()

    def add_thumbnails(self, images: Mapping[int, Image.Image | None]) -> None:
        """Small images by picture id; None for a picture that cannot be read."""
        self._thumbnails.add(images)
        self.refresh()

    def mark(self, identity: int | None) -> None:
        """Show which picture others are compared with."""
        self._marked = identity
        self.refresh()

    # ---- moving -----------------------------------------------------------------------------

    @property
    def _across(self) -> int:
        return max(1, (self.size.width + 2) // ACROSS)

    @property
    def _down(self) -> int:
        return max(1, (self.size.height + DOWN - ROWS - 1) // DOWN)

    def _in_sight(self) -> tuple[int, ...]:
        first = self._top * self._across
        return self._identities[first : first + self._across * self._down]

    def _go(self, index: int) -> None:
        """Make a picture the current one, scroll it into sight, and ask for what is in sight."""
        self._index = index
        row = index // self._across
        self._top = min(max(self._top, row - self._down + 1), row)
        in_sight = self._in_sight()
        if in_sight != self._asked:
            self._asked = in_sight
            self.post_message(self.Wanted(in_sight, tuple(self._thumbnails.known)))
        self.post_message(self.Moved())
        self.refresh()

    def on_resize(self) -> None:
        self._top = 0
        self._go(self._index)

    def action_move(self, by: int) -> None:
        if self._identities:
            self._go(max(0, min(len(self._identities) - 1, self._index + by)))

    def action_move_rows(self, by: int) -> None:
        if 0 <= self._index + by * self._across < len(self._identities):
            self._go(self._index + by * self._across)
        elif by > 0 and self._index // self._across < (len(self._identities) - 1) // self._across:
            self._go(len(self._identities) - 1)

    def action_move_pages(self, by: int) -> None:
        self.action_move(by * self._down * self._across)

    async def on_key(self, event: events.Key) -> None:
        await act_in_turn(self, BindingsMap(self.BINDINGS), event)

    def on_click(self, event: events.Click) -> None:
        column, row = event.x // ACROSS, event.y // DOWN
        index = (self._top + row) * self._across + column
        if column < self._across and index < len(self._identities):
            self._go(index)

    def on_mouse_scroll_down(self) -> None:
        self.action_move_rows(1)

    def on_mouse_scroll_up(self) -> None:
        self.action_move_rows(-1)

    # ---- drawing ----------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        ground = self.rich_style
        row, line = divmod(y, DOWN)
        if not self._identities and y == self.size.height // 2:
            words = self._nothing.center(self.size.width)
            return Strip([Segment(words, self.get_component_rich_style("grid--words"))], len(words))
        if row >= self._down or line > ROWS:
            return Strip.blank(self.size.width, ground)
        parts: list[Segment] = []
        first = (self._top + row) * self._across
        for index in range(first, min(first + self._across, len(self._identities))):
            identity = self._identities[index]
            if line < ROWS:
                parts += self._thumbnails.row(identity, line, ground)
            else:
                parts.append(self._words(identity, current=index == self._index))
            parts.append(Segment("  ", ground))
        return Strip(parts).adjust_cell_length(self.size.width, ground)

    def _words(self, identity: int, *, current: bool) -> Segment:
        """The line under a picture: what it is marked with, and the beginning of its prompt."""
        picture = self._pictures.get(identity)
        signs = (
            CURRENT * current
            + MARKED * (identity == self._marked)
            + FAVOURITE * bool(picture and picture.favourite)
        )
        words = " ".join(filter(None, (signs, picture.request.prompt if picture else "")))
        style = self.get_component_rich_style("grid--current" if current else "grid--words")
        return Segment(_as_wide(shortened(words, COLUMNS), COLUMNS), style)


def _as_wide(text: str, columns: int) -> str:
    """``text`` in exactly so many cells: some characters take two."""
    from rich.cells import set_cell_size

    return set_cell_size(text, columns)
