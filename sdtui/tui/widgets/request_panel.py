"""The request beside the picture: shown always, changed from the keyboard."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import ClassVar

import msgspec
from msgspec.structs import replace
from textual import events
from textual.binding import Binding, BindingsMap, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.request import GenerationRequest, RequestError
from sdtui.tui.draft import Draft, differing, draft_of
from sdtui.tui.fields import ALWAYS, FIELDS, Field
from sdtui.tui.figures import shortened
from sdtui.tui.key_order import act_in_turn
from sdtui.tui.session import Picture


class RequestView(msgspec.Struct, frozen=True):
    """The draft, the model's own size as text, and the request it is compared with.

    ``opened`` is the picture whose request is shown instead.
    """

    draft: Draft
    size: str = ""
    compared: GenerationRequest | None = None
    opened: Picture | None = None


class RequestPanel(Widget, can_focus=True):
    """Up and down choose a row, left and right change it, digits type a value, enter sets it.

    While it has the focus, every row is there; else those that every request has, and those that are set.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "row(-1)", "row above", id="request.up", show=False),
        Binding("down", "row(1)", "row below", id="request.down", show=False),
        Binding("left", "turn(-1)", "less", id="request.less", show=False),
        Binding("right", "turn(1)", "more", id="request.more", show=False),
        Binding("enter", "set", "set what was typed", id="request.set", show=False),
        Binding("space", "app.lock_seed", "lock the seed, or not", id="request.lock", show=False),
        Binding("backspace", "rub_out", "rub out what was typed", id="request.rub-out", show=False),
        Binding("delete", "clear", "back to the usual value", id="request.clear", show=False),
        Binding("ctrl+z", "app.undo_settings", "take the change back", id="request.undo", show=False),
        Binding("ctrl+y", "app.redo_settings", "make it again", id="request.redo", show=False),
    ]

    @dataclass(eq=False, repr=False)
    class Changed(Message):
        """The person wants the draft to be this."""

        draft: Draft

    @dataclass(eq=False, repr=False)
    class Refused(Message):
        """What was typed is no value for its row."""

        error: RequestError

    view: reactive[RequestView] = reactive(lambda: RequestView(Draft()))
    row: reactive[int] = reactive(0)
    typed: reactive[str] = reactive("")
    _unheard: Draft | None = None
    """The draft of the last :class:`Changed`, while that message is on its way."""

    def written(self, draft: Draft) -> Draft:
        """The draft with what was set or is being typed here, where that is a value already."""
        draft = self._unheard or draft
        if self.typed:
            with contextlib.suppress(RequestError):
                return FIELDS[self.row].typed(draft, self.typed)
        return draft

    def heard(self, draft: Draft) -> None:
        """A change has reached the session."""
        if self._unheard is draft:
            self._unheard = None

    # ---- keys -------------------------------------------------------------------------------

    def action_row(self, by: int) -> None:
        self.action_set()
        self.row = (self.row + by) % len(FIELDS)

    def action_turn(self, direction: int) -> None:
        self.action_set()
        self._change(FIELDS[self.row].turned(self.view.draft, direction))

    def action_set(self) -> None:
        text, self.typed = self.typed, ""
        if text:
            try:
                self._change(FIELDS[self.row].typed(self.view.draft, text))
            except RequestError as error:
                self.post_message(self.Refused(error))

    def action_rub_out(self) -> None:
        self.typed = self.typed[:-1]

    def action_clear(self) -> None:
        self.typed = ""
        self._change(FIELDS[self.row].cleared(self.view.draft))

    def _change(self, draft: Draft) -> None:
        # Shown at once, so that a key held down goes on from here and not from what was before.
        self.view = replace(self.view, draft=draft)
        self._unheard = draft
        self.post_message(self.Changed(draft))

    async def on_key(self, event: events.Key) -> None:
        if await act_in_turn(self, BindingsMap(self.BINDINGS), event):
            return
        if event.is_printable and event.character:
            self.typed += event.character
            event.stop()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.action_set()

    def on_click(self, event: events.Click) -> None:
        fields = self._fields()
        if 1 <= event.y <= len(fields):
            self.action_set()
            self.row = FIELDS.index(fields[event.y - 1])

    # ---- drawing ----------------------------------------------------------------------------

    def render(self) -> Content:
        opened = self.view.opened
        title = f"PICTURE {opened.id}" if opened else "REQUEST"
        lines = [Content.styled(title, "$foreground-muted"), *self._rows(), self._size_row()]
        if opened:
            lines += [
                Content(""),
                Content(opened.request.prompt),
                Content(""),
                Content.styled("enter takes it", "$accent"),
                Content.styled("escape goes back", "$foreground-muted"),
            ]
        return Content("\n").join(lines)

    def _fields(self) -> tuple[Field, ...]:
        """The rows in sight."""
        opened = self.view.opened
        draft = draft_of(opened.request) if opened else self.view.draft
        if not self.has_focus or opened:
            return tuple(field for field in FIELDS if field in ALWAYS or field.is_set(draft))
        fitting = max(1, self.size.height - 2)
        first = max(0, min(self.row - fitting // 2, len(FIELDS) - fitting))
        return FIELDS[first : first + fitting]

    def _rows(self) -> list[Content]:
        opened, compared = self.view.opened, self.view.compared
        draft = draft_of(opened.request) if opened else self.view.draft
        changed = differing(draft, compared) if compared and not opened else frozenset()
        return [
            self._row(
                field,
                draft,
                field.name in changed,
                self.has_focus and field is FIELDS[self.row] and not opened,
            )
            for field in self._fields()
        ]

    def _row(self, field: Field, draft: Draft, changed: bool, current: bool) -> Content:
        value = shortened(
            field.shown(draft), max(8, self.size.width - len(field.label) - (5 if current else 1))
        )
        if current and self.typed:
            return self._line(field.label, Content.styled(f"{self.typed}▏", "bold $accent"))
        if current:
            return self._line(field.label, Content.styled(f"‹ {value} ›", "bold $accent"))
        shown = Content.styled(value, "underline" if changed else "")
        if field.name == "seed" and draft.seed is not None and not self.view.opened:
            lock = "locked" if draft.seed_locked else "random"
            shown = Content.assemble(shown, (f" {lock}", "$foreground-muted"))
        return self._line(field.label, shown)

    def _size_row(self) -> Content:
        opened = self.view.opened
        size = f"{opened.width} × {opened.height}" if opened else self.view.size
        return self._line("size", Content.styled(size, "$foreground-muted"))

    def _line(self, label: str, value: Content) -> Content:
        gap = max(1, self.size.width - len(label) - value.cell_length)
        return Content.assemble((label, "$foreground-muted"), " " * gap, value)
