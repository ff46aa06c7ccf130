"""The latest pictures, small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui import wishes
from sdtui.tui.session import Picture
from sdtui.tui.widgets.thumbnails import Thumbnails

if TYPE_CHECKING:
    from PIL import Image

LABEL = 8
COLUMNS, ROWS, GAP = 8, 4, 1
"""A thumbnail's cells, and the space after it."""


class RecentStrip(Widget, can_focus=True):
    """Left and right walk through the pictures, enter takes the request of the one in sight."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "walk(-1)", "newer", id="recent.newer", show=False),
        Binding("right", "walk(1)", "older", id="recent.older", show=False),
        Binding("home", "walk(-1000)", "newest", id="recent.newest", show=False),
        Binding("end", "walk(1000)", "oldest", id="recent.oldest", show=False),
        Binding("enter", "take", "take its request into the editor", id="recent.take", show=False),
        Binding("equals_sign", "mark", "mark, or compare", key_display="=", id="recent.compare", show=False),
        Binding("x", "vary", "make an X/Y sheet of it", id="recent.vary", show=False),
        Binding("i", "start_from", "make the next picture from it", id="recent.start-from", show=False),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {"recent--label", "recent--mark"}

    @dataclass(eq=False, repr=False)
    class Opened(Message):
        """The person looks at this picture."""

        picture: Picture

    @dataclass(eq=False, repr=False)
    class Wanted(Message):
        """These pictures are in sight, and their thumbnails are wanted."""

        pictures: list[Picture]

    def __init__(self, depth: ColourDepth, *, id: str) -> None:
        super().__init__(id=id)
        self._pictures: tuple[Picture, ...] = ()
        self._unseen: frozenset[int] = frozenset()
        self._opened: int | None = None
        self._marked: int | None = None
        self._thumbnails = Thumbnails(COLUMNS, ROWS, depth)
        self._wanted: set[int] = set()

    def show(
        self,
        pictures: tuple[Picture, ...],
        unseen: frozenset[int],
        opened: Picture | None,
        marked: Picture | None,
    ) -> None:
        """Show the newest pictures first; tell the unseen ones, the opened and the marked one."""
        shown = (pictures, unseen, opened.id if opened else None, marked.id if marked else None)
        if shown != (self._pictures, self._unseen, self._opened, self._marked):
            self._pictures, self._unseen, self._opened, self._marked = shown
            self._want()
            self.refresh()

    def add_thumbnails(self, images: Mapping[int, Image.Image | None]) -> None:
        """Small images by picture id; None for a picture that cannot be read."""
        self._thumbnails.add(images)
        self.refresh()

    def _want(self) -> None:
        """Ask for the thumbnails of the pictures in sight, once each."""
        wanted = [picture for picture in self._in_sight() if picture.id not in self._wanted]
        if wanted:
            self._wanted.update(picture.id for picture in wanted)
            self.post_message(self.Wanted(wanted))

    def on_resize(self) -> None:
        self._want()

    # ---- keys -------------------------------------------------------------------------------

    def on_focus(self) -> None:
        if self._pictures and self._opened is None:
            self.post_message(self.Opened(self._pictures[0]))

    def action_walk(self, by: int) -> None:
        if self._pictures:
            target = max(0, min(len(self._pictures) - 1, self._index() + by))
            self.post_message(self.Opened(self._pictures[target]))

    def action_take(self) -> None:
        self._wish(wishes.Take)

    def action_mark(self) -> None:
        self._wish(wishes.Mark)

    def action_vary(self) -> None:
        self._wish(wishes.Vary)

    def action_start_from(self) -> None:
        self._wish(wishes.StartFrom)

    def _wish(self, wish: type[wishes.Take | wishes.Mark | wishes.Vary | wishes.StartFrom]) -> None:
        if self._pictures:
            self.post_message(wish(self._pictures[self._index()]))

    def on_click(self, event: events.Click) -> None:
        index = (event.x - LABEL) // (COLUMNS + GAP)
        if 0 <= index < len(self._in_sight()):
            self.post_message(self.Opened(self._in_sight()[index]))

    def _index(self) -> int:
        return next((i for i, picture in enumerate(self._pictures) if picture.id == self._opened), 0)

    # ---- drawing ----------------------------------------------------------------------------

    def _in_sight(self) -> tuple[Picture, ...]:
        """As many as fit, scrolled so that the opened one is among them."""
        fitting = max(1, (self.size.width - LABEL) // (COLUMNS + GAP))
        first = max(0, self._index() - fitting + 1)
        return self._pictures[first : first + fitting]

    def render_line(self, y: int) -> Strip:
        ground = self.rich_style
        muted = self.get_component_rich_style("recent--label")
        label = {0: " RECENT", 1: f" {len(self._pictures) or 'none'}"}.get(y, "")
        parts = [Segment(label.ljust(LABEL), muted)]
        for picture in self._in_sight():
            parts += self._mark(picture) if y >= ROWS else self._thumbnails.row(picture.id, y, ground)
            parts.append(Segment(" " * GAP, ground))
        return Strip(parts).adjust_cell_length(self.size.width, ground)

    def _mark(self, picture: Picture) -> list[Segment]:
        accent = self.get_component_rich_style("recent--mark")
        if picture.id == self._opened:
            return [
                Segment("━" * COLUMNS if picture.id != self._marked else "━ = ━".center(COLUMNS, "━"), accent)
            ]
        if picture.id == self._marked:
            return [Segment("=".center(COLUMNS), accent)]
        return [Segment("new".center(COLUMNS) if picture.id in self._unseen else " " * COLUMNS, accent)]
