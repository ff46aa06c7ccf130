"""Find an earlier picture by its prompt, and go on from its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from sdtui.request import GenerationRequest
from sdtui.tui.figures import shortened
from sdtui.tui.messages import Found
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import Picture


class Recall(ClosesOnce[GenerationRequest | None], ModalScreen[GenerationRequest | None]):
    """``search`` is asked for the pictures of a text, and answers later with a Found message."""

    CSS_PATH = "recall.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "close", id="recall.close", show=False),
        Binding("up", "move(-1)", "above", id="recall.up", show=False, priority=True),
        Binding("down", "move(1)", "below", id="recall.down", show=False, priority=True),
    ]

    def __init__(self, search: Callable[[str], None]) -> None:
        super().__init__()
        self._search = search
        self._found: list[GenerationRequest] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="recall"):
            yield Input(placeholder="words of an earlier prompt", compact=True)
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        self._search("")

    @on(Found)
    def _list(self, event: Found) -> None:
        """Each prompt once, with its newest settings."""
        event.stop()
        if event.text != self.query_one(Input).value:
            return
        newest: dict[str, Picture] = {}
        for picture in event.pictures:
            newest.setdefault(picture.request.prompt, picture)
        self._found = [picture.request for picture in newest.values()]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._line(request)) for request in self._found)
        if self._found:
            options.highlighted = 0
        else:
            options.add_option(Option(Content.styled("nothing found", "$foreground-muted"), disabled=True))

    def _line(self, request: GenerationRequest) -> Content:
        settings = f"{request.steps:>4} × {request.guidance_scale:<4g} {request.scheduler:>14}"
        columns = max(20, self.query_one(OptionList).size.width - len(settings) - 1)
        return Content.assemble(
            f"{shortened(request.prompt, columns - 1):<{columns}}", (settings, "$foreground-muted")
        )

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._search(event.value)

    def on_input_submitted(self) -> None:
        self._choose(self.query_one(OptionList).highlighted)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._choose(event.option_index)

    def _choose(self, index: int | None) -> None:
        if index is not None and index < len(self._found):
            self.dismiss(self._found[index])
