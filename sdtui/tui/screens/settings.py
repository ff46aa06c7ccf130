"""The settings, one row for each field of their schema."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from sdtui.errors import SdtuiError
from sdtui.settings import Settings, places, save_settings
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import failure_line
from sdtui.tui.widgets.choice import Choice
from sdtui.tui.widgets.key_hints import KeyHints

HINTS = {
    "settings.save": "save",
    "settings.next": "next row",
    "choice.next": "other value",
    "settings.close": "close without saving",
}


WIDE = 110
"""Columns in which each row has room to say what it is about; the current one always says it."""
KINDS = {str: "text", int: "whole number", float: "number"}


class Row(msgspec.Struct, frozen=True):
    """A field of the settings: what may stand in it, and what it is about.

    ``values`` are the only ones possible, where there are a few. ``optional`` ones may be empty. ``kind``
    is what people call its type.
    """

    name: str
    about: str
    values: tuple[str, ...]
    optional: bool
    kind: str


def rows() -> Iterator[Row]:
    """The fields that are one value each, in their order."""
    for name, annotated in get_type_hints(Settings, include_extras=True).items():
        kind, about = annotated, ""
        if get_origin(annotated) is Annotated:
            kind, meta = get_args(annotated)
            about = meta.description or ""
        parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        optional = NoneType in parts
        kind = next(part for part in parts if part is not NoneType)
        if get_origin(kind) is Literal:
            yield Row(name, about, get_args(kind), optional, KINDS[str])
        elif kind is bool:
            yield Row(name, about, ("true", "false"), optional, KINDS[str])
        elif kind in KINDS:
            yield Row(name, about, (), optional, KINDS[kind])


class SettingsScreen(ClosesOnce[Settings | None], ModalScreen[Settings | None]):
    """Dismisses with the settings when they are saved."""

    CSS_PATH = "settings.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save", id="settings.save", priority=True),
        Binding("down,tab,enter", "app.focus_next", "next row", id="settings.next", priority=True),
        Binding("up,shift+tab", "app.focus_previous", "row above", id="settings.before", priority=True),
        Binding("escape", "dismiss", "close without saving", id="settings.close"),
    ]

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._rows = tuple(rows())

    def compose(self) -> ComposeResult:
        with Vertical(id="settings"):
            yield Static("SETTINGS", classes="title")
            yield Static(str(places().settings_file), id="settings-file")
            with VerticalScroll(can_focus=False):
                for row in self._rows:
                    with Horizontal(classes="row"):
                        yield Static(row.name.replace("_", " "), classes="label")
                        yield self._editor(row)
                        yield Static(row.about, classes="about")
            yield Static(id="settings-outcome")
            yield KeyHints(HINTS)

    def _editor(self, row: Row) -> Widget:
        value = msgspec.to_builtins(self._settings)[row.name]
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        if row.values:
            return Choice(row.values, text, id=row.name)
        return Input(text, compact=True, id=row.name)

    def on_mount(self) -> None:
        self.query_one(f"#{self._rows[0].name}").focus()
        self._look()

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width < WIDE, "-narrow")

    def _told(self) -> Content:
        """What the row is about that the cursor is in, and the person's own keys."""
        focused = self.focused.id if self.focused else None
        about = next((row.about for row in self._rows if row.name == focused), "")
        keymap = "   ".join(f"{id} {keys}" for id, keys in self._settings.keymap.items())
        keys = keymap or "[keymap] in that file, such as recall = 'ctrl+e'"
        return Content.assemble(about, "\n", (f"own keys: {keys}", "$foreground-muted"))

    def on_descendant_focus(self) -> None:
        self._look()

    def _written(self) -> Settings:
        """The settings as they stand. Raises :class:`SdtuiError`, :class:`msgspec.ValidationError`."""
        fields: dict[str, Any] = dict(msgspec.to_builtins(self._settings))
        for row in self._rows:
            editor = self.query_one(f"#{row.name}")
            assert isinstance(editor, Input | Choice)
            fields[row.name] = editor.value.strip() if not row.optional else editor.value.strip() or None
        return msgspec.convert(fields, Settings, strict=False)

    @on(Input.Changed)
    @on(Choice.Changed)
    def _look(self) -> None:
        """Say at once what is wrong."""
        try:
            self._written()
        except (SdtuiError, msgspec.ValidationError) as error:
            self._complain(error)
        else:
            self.query_one("#settings-outcome", Static).update(self._told())

    def _complain(self, error: SdtuiError | msgspec.ValidationError) -> None:
        line = failure_line(error) if isinstance(error, SdtuiError) else self._wanted(error)
        self.query_one("#settings-outcome", Static).update(
            Content.assemble(("✗ ", "bold $error"), line, "\n")
        )

    def _wanted(self, error: msgspec.ValidationError) -> str:
        """``what — why`` of a value that is of another kind than its row's."""
        name = str(error).rpartition("$.")[2].rstrip("`")
        for row in self._rows:
            if row.name == name:
                return f"{name.replace('_', ' ')} is not valid — it is no {row.kind}"
        return str(error)

    def action_save(self) -> None:
        # The key overtakes the letters before it, which wait in their row's own queue.
        (self.focused or self).call_later(self._save)

    def _save(self) -> None:
        try:
            written = self._written()
        except (SdtuiError, msgspec.ValidationError) as error:
            self._complain(error)
        else:
            self.run_worker(self._write(written))

    async def _write(self, settings: Settings) -> None:
        try:
            await asyncio.to_thread(save_settings, settings)
        except SdtuiError as error:
            self._complain(error)
        else:
            self.dismiss(settings)
