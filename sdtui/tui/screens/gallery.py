"""Every picture ever made: to look at, to search, to keep apart, and to go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui import messages, wishes
from sdtui.tui.request_rows import rows
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import Picture, Session, failure_line
from sdtui.tui.shelf import Shelf
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.key_hints import KeyHints
from sdtui.tui.widgets.picture_grid import PictureGrid

if TYPE_CHECKING:
    from sdtui.history import Search

WIDE = 110
LABEL = 12
HINTS = {
    "gallery.take": "take",
    "gallery.open": "open",
    "gallery.search": "search",
    "gallery.favour": "favourite",
    "gallery.compare": "compare",
    "gallery.delete": "delete",
    "gallery.undo": "undo",
    "gallery.sort": "sort",
    "gallery.favourites": "only favourites",
    "gallery.vary": "X/Y sheet",
    "gallery.start-from": "start from it",
    "gallery.close": "back",
}


OF_A_PICTURE = frozenset({"take", "open", "favour", "compare", "vary", "start_from", "delete"})


class Gallery(ClosesOnce[None]):
    """The grid, and beside it the current picture with its request.

    ``open`` gives that picture the whole screen. What is deleted lies in the trash; undo takes back
    the last one, as long as the gallery is open.
    """

    CSS_PATH: ClassVar[list[str]] = [  # type: ignore[assignment]
        "gallery.tcss",
        "../widgets/picture_grid.tcss",
    ]
    AUTO_FOCUS = "PictureGrid"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "take its request into the editor", id="gallery.take"),
        Binding("space", "open", "show it large, or go back", id="gallery.open"),
        Binding("slash", "search", "search prompts and models", key_display="/", id="gallery.search"),
        Binding("f", "favour", "a favourite, or not", id="gallery.favour"),
        Binding("v", "favourites", "only favourites, or all", id="gallery.favourites"),
        Binding("s", "sort", "sort by something else", id="gallery.sort"),
        Binding(
            "equals_sign", "compare", "compare with the marked one", key_display="=", id="gallery.compare"
        ),
        Binding("x", "vary", "make an X/Y sheet of it", id="gallery.vary"),
        Binding("i", "start_from", "make the next picture from it", id="gallery.start-from"),
        Binding("delete", "delete", "put it into the trash", id="gallery.delete"),
        Binding("u", "undo", "take the last one back out of the trash", id="gallery.undo"),
        Binding("escape,f2", "back", "close", id="gallery.close"),
    ]

    def __init__(self, session: Session, depth: ColourDepth) -> None:
        super().__init__()
        self._session = session
        self._depth = depth
        self._shelf = Shelf(self._hear)
        self._search: Search = _everything()
        self._recent = session.recent
        self._looked_at: Picture | None = None
        self._deleted: list[int] = []
        self._complaint = ""

    def compose(self) -> ComposeResult:
        yield Static(id="gallery-title")
        yield Input(placeholder="words of a prompt, or a model", compact=True, id="gallery-search")
        with Horizontal(id="gallery-body"):
            yield PictureGrid(self._depth, id="grid")
            with Vertical(id="detail"):
                yield Canvas(self._depth, id="detail-picture")
                with VerticalScroll(can_focus=False, id="detail-scroll"):
                    yield Static(id="detail-request")
        yield KeyHints(HINTS)

    def on_mount(self) -> None:
        self._shelf.start()
        self._shelf.find(self._search)
        self._show_mark()

    def on_unmount(self) -> None:
        self._shelf.finish()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")

    @property
    def _grid(self) -> PictureGrid:
        return self.query_one(PictureGrid)

    # ---- what the shelf says ----------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        if self.is_running:
            self.post_message(message)

    @on(messages.PicturesFound)
    def _list(self, event: messages.PicturesFound) -> None:
        if event.search == self._search:
            self._grid.list(event.identities, self._nothing())
            self.refresh_bindings()

    @on(messages.PicturesRead)
    def _read(self, event: messages.PicturesRead) -> None:
        self._grid.read(event.pictures)
        self._look()

    @on(messages.ThumbnailsLoaded)
    def _add_thumbnails(self, event: messages.ThumbnailsLoaded) -> None:
        self._grid.add_thumbnails(event.images)

    @on(messages.ImageLoaded)
    def _add_image(self, event: messages.ImageLoaded) -> None:
        if self._looked_at is not None and event.identity == self._looked_at.id:
            self.query_one(Canvas).show(event.image)

    @on(messages.WentWrong)
    def _complain(self, event: messages.WentWrong) -> None:
        event.stop()
        self._complaint = failure_line(event.error)
        self._title()

    def show(self) -> None:
        """A picture may have been finished, or marked."""
        if self._session.recent != self._recent:
            self._recent = self._session.recent
            self._shelf.find(self._search)
        self._show_mark()

    def gather(self) -> None:
        """Nothing is typed here for the session."""

    def _show_mark(self) -> None:
        self._grid.mark(self._session.marked.id if self._session.marked else None)

    # ---- the current picture ----------------------------------------------------------------

    @on(PictureGrid.Wanted)
    def _wanted(self, event: PictureGrid.Wanted) -> None:
        self._shelf.look(event.identities, event.have)

    @on(PictureGrid.Moved)
    def _look(self) -> None:
        picture = self._grid.current
        if picture is not None and (self._looked_at is None or picture.id != self._looked_at.id):
            self._complaint = ""
            self.query_one(Canvas).show(None, "")
            self._looked_at = picture
            self._shelf.image(picture)
        self._looked_at = picture
        if picture is None:
            self.query_one(Canvas).show(None, "")
        self.query_one("#detail-request", Static).update(_details(picture) if picture else "")
        self._title()

    def _title(self) -> None:
        count = len(self._grid.identities)
        place = f"{self._grid.index + 1} of {count}" if count else "none"
        facts = [place, f"by {self._search.order}" if self._search.order in ("prompt", "model") else ""]
        facts += [f"{self._search.order} first" if self._search.order in ("newest", "oldest") else ""]
        facts += ["♥ only" if self._search.favourites else ""]
        facts += [f"u takes back {len(self._deleted)}" if self._deleted else ""]
        line = Content.assemble(
            (" GALLERY   ", "bold $accent"), ("   ".join(filter(None, facts)), "$foreground-muted")
        )
        if self._complaint:
            line = Content.assemble(line, "   ", ("✗ ", "bold $error"), self._complaint)
        self.query_one("#gallery-title", Static).update(line)

    def _nothing(self) -> str:
        """Why there is no picture, and what to do."""
        if self._search.text:
            return f"nothing found for “{self._search.text}”: other words find more, escape shows all"
        if self._search.favourites:
            return "no favourite yet: v shows all pictures, f makes one a favourite"
        return "no picture yet: escape, and ctrl+g makes one"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is done with a picture has no use where there is none."""
        if self.is_mounted and action in OF_A_PICTURE and not self._grid.identities:
            return None
        if action == "undo" and not self._deleted:
            return None
        return super().check_action(action, parameters)

    def action_open(self) -> None:
        self.toggle_class("-open")

    def action_take(self) -> None:
        if picture := self._grid.current:
            self.app.post_message(wishes.Take(picture))

    def action_compare(self) -> None:
        self._wish(wishes.Mark)

    def action_vary(self) -> None:
        self._wish(wishes.Vary)

    def action_start_from(self) -> None:
        if picture := self._grid.current:
            self.app.post_message(wishes.StartFrom(picture))

    def _wish(self, wish: type[wishes.Mark | wishes.Vary]) -> None:
        if picture := self._grid.current:
            self.app.post_message(wish(picture))

    def action_favour(self) -> None:
        if picture := self._grid.current:
            changed = replace(picture, favourite=not picture.favourite)
            self._grid.read([changed])  # shown at once: a second press goes on from here
            self._shelf.favour(picture.id, changed.favourite)

    def action_delete(self) -> None:
        if picture := self._grid.current:
            self._deleted.append(picture.id)
            self._shelf.trash(picture.id)
            kept = tuple(each for each in self._grid.identities if each != picture.id)
            self._grid.list(kept, self._nothing())
            self.refresh_bindings()

    def action_undo(self) -> None:
        if self._deleted:
            self._shelf.restore(self._deleted.pop())
            self._shelf.find(self._search)
            self.refresh_bindings()

    # ---- which pictures ---------------------------------------------------------------------

    def _find(self, search: Search) -> None:
        self._search = search
        self._shelf.find(search)

    def action_favourites(self) -> None:
        self._find(replace(self._search, favourites=not self._search.favourites))

    def action_sort(self) -> None:
        from sdtui.history.store import ORDERS

        orders = list(ORDERS)
        following = orders[(orders.index(self._search.order) + 1) % len(orders)]
        self._find(replace(self._search, order=following))

    def action_search(self) -> None:
        self.add_class("-searching")
        self.set_focus(self.query_one(Input))

    @on(Input.Changed)
    def _searched(self, event: Input.Changed) -> None:
        self._find(replace(self._search, text=event.value))

    @on(Input.Submitted)
    def _end_search(self) -> None:
        self.set_class(bool(self._search.text), "-searching")
        self.set_focus(self._grid)

    def action_back(self) -> None:
        """One step back: out of the search, out of the large picture, out of the gallery."""
        if isinstance(self.focused, Input):
            self.focused.value = ""
            self.remove_class("-searching")
            self.set_focus(self._grid)
        elif self.has_class("-open"):
            self.remove_class("-open")
        else:
            self.dismiss()


def _everything() -> Search:
    from sdtui.history import Search

    return Search()


def _details(picture: Picture) -> Content:
    """A picture's request in full."""
    heart = " ♥" if picture.favourite else ""
    lines = [Content.styled(f"PICTURE {picture.id}{heart}", "$foreground-muted"), Content("")]
    lines += [Content(picture.request.prompt)]
    if picture.request.negative_prompt:
        lines += [Content.assemble(("not: ", "$foreground-muted"), picture.request.negative_prompt)]
    lines.append(Content(""))
    lines += [
        Content.assemble((f"{name:<{LABEL}} ", "$foreground-muted"), text) for name, text in rows(picture)
    ]
    lines += [Content(""), Content.styled(picture.path, "$foreground-disabled")]
    return Content("\n").join(lines)
