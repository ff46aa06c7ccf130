"""Every key, and what it does, read from the bindings in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sdtui.tui.commands import COMMANDS
from sdtui.tui.key_catalogue import PARTS, in_force
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.widgets.key_hints import KeyHints

WRITING = (
    ("↑", "at the top: the prompt before this one", ""),
    ("↓", "at the bottom: the prompt after it", ""),
    ("→", "at the end: take the suggestion", ""),
    ("^→", "take a word of it", ""),
    ("^z  ^y", "undo, redo", ""),
)
WIDE = 112
"""Columns of a terminal in which the ids have room beside the rest."""
KEYS = 22
MEANING = 59
NARROW = 48
"""Columns that the keys take, and what they do, where there is room for ids and in 80 columns."""


class Help(ClosesOnce[None], ModalScreen[None]):
    """``keymap`` holds the keys that are others than usual."""

    CSS_PATH = "help.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown,space", "page(1)", "further down", id="help.down", show=False),
        Binding("pageup,b", "page(-1)", "up again", id="help.up", show=False),
        Binding("escape,f1,q", "dismiss", "close", id="help.close", show=False),
    ]

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with Vertical(id="help"):
            with VerticalScroll():
                yield Static(self._content(), id="keys")
            yield KeyHints({"help.down": "further down", "help.up": "up again", "help.close": "close"})

    def _content(self) -> Content:
        with_ids = self.app.size.width >= WIDE
        keys = {command.id: self._keymap.get(command.id, command.keys) for command in COMMANDS}
        bound = in_force((each.binding_for(keys[each.id]) for each in COMMANDS if keys[each.id]), {})
        rows = [(self._keys(bound[each.id]), each.meaning, each.id) for each in COMMANDS if keys[each.id]]
        others = [("", each.meaning, each.id) for each in COMMANDS if not keys[each.id]]
        lines = _section("Everywhere", rows, with_ids)
        lines += _section("In the prompt", WRITING, with_ids)
        for title, bindings in PARTS.items():
            lines += _section(
                title,
                [
                    (self._keys(binding), binding.description, id)
                    for id, binding in in_force(bindings, self._keymap).items()
                ],
                with_ids,
            )
        lines += _section("In the palette only, until the keymap gives them keys", others, with_ids)
        return Content("\n").join(lines[:-1])

    def on_resize(self) -> None:
        for keys in self.query("#keys").results(Static):  # none while it closes
            keys.update(self._content())

    def action_page(self, by: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=by * (scroll.size.height - 1), animate=False)

    def _keys(self, binding: Binding) -> str:
        each = (replace(binding, key=key.strip(), key_display=None) for key in binding.key.split(","))
        return "  ".join(map(self.app.get_key_display, each))


def _section(title: str, rows: Iterable[tuple[str, str, str]], with_ids: bool) -> list[Content]:
    """A heading; keys, their meaning and, where there is room, the id for a keymap; and a blank line."""
    return [
        Content.styled(title, "bold $accent"),
        *(
            Content.assemble(
                (f"  {keys:<{KEYS}}", "bold"),
                (f"{words:<{MEANING}}  " if with_ids else words, "$foreground-muted"),
                (id if with_ids else "", "$foreground-disabled"),
            )
            for keys, words, id in _lines(rows, with_ids)
        ),
        Content(""),
    ]


def _lines(rows: Iterable[tuple[str, str, str]], with_ids: bool) -> Iterator[tuple[str, str, str]]:
    """Rows of which no meaning is longer than its column: what is, goes on in a row of its own."""
    for keys, meaning, id in rows:
        first, *further = wrap(meaning, MEANING if with_ids else NARROW)
        yield keys, first, id
        yield from (("", each, "") for each in further)
