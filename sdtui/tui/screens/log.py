"""What the engine has written down: the place to look when a line says that something went wrong."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from sdtui.settings import places
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.widgets.key_hints import KeyHints

TAIL_BYTES = 64 * 1024
"""As much of a log's end as anybody reads."""
LOOK_SECONDS = 1.0
HINTS = {"log.copy": "copy its path", "log.start": "beginning", "log.end": "end", "log.close": "close"}


class Log(ClosesOnce[None]):
    """The end of the engine's log; what is added while it is open appears."""

    CSS_PATH = "log.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "start", "the beginning", id="log.start"),
        Binding("end", "end", "the end", id="log.end"),
        Binding("c", "copy", "copy the path of the file", id="log.copy"),
        Binding("escape", "dismiss", "close", id="log.close"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._file = places().log
        self._read = -1

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble((" LOG   ", "bold $accent"), (str(self._file), "$foreground-muted")),
            id="log-title",
        )
        with VerticalScroll(id="log"):
            yield Static(id="log-text", markup=False)
        yield KeyHints(HINTS)

    def on_mount(self) -> None:
        self.query_one("#log").focus()
        self.set_interval(LOOK_SECONDS, self._look)
        self.call_later(self._look)

    async def _look(self) -> None:
        size, text = await asyncio.to_thread(tail, self._file)
        if size != self._read:
            self._read = size
            at_end = self.query_one("#log").is_vertical_scroll_end
            self.query_one("#log-text", Static).update(Content(text or "nothing has been written yet"))
            if at_end:
                self.call_after_refresh(self.action_end)

    def on_resize(self) -> None:
        for log in self.query("#log"):  # none while it closes
            if log.is_vertical_scroll_end:
                self.call_after_refresh(self.action_end)

    def action_start(self) -> None:
        self.query_one("#log").scroll_home(animate=False)

    def action_end(self) -> None:
        self.query_one("#log").scroll_end(animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(str(self._file))


def tail(file: Path) -> tuple[int, str]:
    """The size of ``file`` in bytes, and its last lines; 0 and nothing where it cannot be read."""
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return 0, ""
    lines = text.splitlines()
    whole = lines if size <= TAIL_BYTES else lines[1:]
    return size, "\n".join(
        "".join(c if c.isprintable() else "·" for c in line.expandtabs()) for line in whole
    )
