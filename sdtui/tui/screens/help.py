"""Every key, and what it does, read from the bindings in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sdtui.tui.commands import BY_ID
from sdtui.tui.screens.compare import Compare
from sdtui.tui.screens.convert import Convert
from sdtui.tui.screens.gallery import Gallery
from sdtui.tui.screens.grid import Grid
from sdtui.tui.screens.presets import Presets
from sdtui.tui.widgets.picture_grid import PictureGrid
from sdtui.tui.widgets.queue import Queue
from sdtui.tui.widgets.recent import RecentStrip
from sdtui.tui.widgets.request_panel import RequestPanel

PARTS: tuple[tuple[str, Iterable[BindingType]], ...] = (
    ("In the request", RequestPanel.BINDINGS),
    ("In the queue", Queue.BINDINGS),
    ("In the recent pictures", RecentStrip.BINDINGS),
    ("In the gallery", (*PictureGrid.BINDINGS, *Gallery.BINDINGS)),
    ("In a comparison", Compare.BINDINGS),
    ("In the X/Y sheet", Grid.BINDINGS),
    ("In the presets", Presets.BINDINGS),
    ("In the conversion", Convert.BINDINGS),
)
WRITING = (
    ("up", "at the top: the prompt before this one"),
    ("down", "at the bottom: the prompt after it"),
    ("right", "in an empty prompt: take the suggestion"),
    ("^z / ^y", "undo, redo"),
)
KEYS = 24
"""Columns that the keys take."""


class Help(ModalScreen[None]):
    """``bindings`` are those of the app, as they are in force; several keys of one id share a line."""

    CSS_PATH = "help.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss", "close", id="help.close", show=False),
    ]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._bindings_in_force = tuple(bindings)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(self._content())

    def _content(self) -> Content:
        keys: dict[str, list[str]] = {}
        for binding in self._bindings_in_force:
            if binding.id in BY_ID:
                keys.setdefault(binding.id, []).append(self.app.get_key_display(binding))
        lines = _section(
            "Everywhere", [("  ".join(keys[id]), BY_ID[id].meaning) for id in BY_ID if id in keys]
        )
        lines += _section("In the prompt", WRITING)
        for title, bindings in PARTS:
            made = Binding.make_bindings(bindings)
            lines += _section(
                title, [(self.app.get_key_display(binding), binding.description) for binding in made]
            )
        lines.append(Content.styled("escape closes this", "$foreground-muted"))
        return Content("\n").join(lines)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> list[Content]:
    """A heading, its keys in one column and their meaning in another, and a blank line."""
    return [
        Content.styled(title, "bold $accent"),
        *(
            Content.assemble((f"  {keys:<{KEYS}}", "bold"), (meaning, "$foreground-muted"))
            for keys, meaning in rows
        ),
        Content(""),
    ]
