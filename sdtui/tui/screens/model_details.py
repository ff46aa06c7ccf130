"""Everything known of one model."""

from __future__ import annotations

import asyncio
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

    async def on_mount(self) -> None:
        self.run_worker(self._read())

    async def _read(self) -> None:
        try:
            facts = await asyncio.to_thread(disk.model_facts, self._reference)
        except SdtuiError as error:
            content = Content.assemble(("✗ ", "bold $error"), failure_line(error))
        else:
            content = Content("\n").join(
                Content.assemble((f"{name:<{LABEL}} ", "$foreground-muted"), text) for name, text in facts
            )
        self.query_one("#facts", Static).update(content)
