"""Everything known of one model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sdtui.errors import SdtuiError
from sdtui.tui import disk
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import failure_line
from sdtui.tui.widgets.key_hints import KeyHints

LABEL = 16


class ModelDetails(ClosesOnce[None], ModalScreen[None]):
    """What the manifest of the model that requests call ``reference`` says, and its networks."""

    CSS_PATH = "model_details.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,i", "dismiss", "close", id="model.close"),
    ]

    def __init__(self, reference: str | None) -> None:
        super().__init__()
        self._reference = reference

    def compose(self) -> ComposeResult:
        with Vertical(id="model"):
            yield Static("MODEL", classes="title")
            with VerticalScroll():
                yield Static("looking at it…", id="facts")
            yield KeyHints({"model.close": "close"})

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._read())

    async def _read(self) -> None:
        try:
            facts = await asyncio.to_thread(disk.model_facts, self._reference)
        except SdtuiError as error:
            content = Content.assemble(("✗ ", "bold $error"), failure_line(error))
        else:
            columns = self.query_one("#facts").size.width - LABEL - 1
            content = Content("\n").join(line for fact in facts for line in _lines(*fact, max(20, columns)))
        self.query_one("#facts", Static).update(content)


def _lines(name: str, text: str, columns: int) -> Iterator[Content]:
    """A fact, what is long of it in lines under each other."""
    first, *further = wrap(text, columns) if len(text) > columns else [text]
    yield Content.assemble((f"{name:<{LABEL}} ", "$foreground-muted"), first)
    yield from (Content(" " * (LABEL + 1) + each) for each in further)
