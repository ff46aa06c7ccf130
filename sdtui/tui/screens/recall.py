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
from textual.widgets import Input, OptionList, Static

from sdtui.request import GenerationRequest
from sdtui.tui.difference import changed_words
from sdtui.tui.draft import Draft, differing
from sdtui.tui.figures import shortened
from sdtui.tui.messages import Found
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import Picture
from sdtui.tui.widgets.key_hints import KeyHints
from sdtui.tui.widgets.lines import Lines, fill

HINTS = {
    "recall.take": "take its request",
    "recall.up": "above",
    "recall.down": "below",
    "recall.close": "close",
}


class Recall(ClosesOnce[GenerationRequest | None], ModalScreen[GenerationRequest | None]):
    """``search`` is asked for the pictures of a text, and answers later with a Found message.

    What differs from the draft that is being ``written`` is underlined.
    """

    CSS_PATH = "recall.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "take its request", id="recall.take", show=False, priority=True),
        Binding("escape", "dismiss", "close", id="recall.close", show=False),
        Binding("up", "move(-1)", "above", id="recall.up", show=False, priority=True),
        Binding("down", "move(1)", "below", id="recall.down", show=False, priority=True),
    ]

    def __init__(self, search: Callable[[str], None], written: Draft) -> None:
        super().__init__()
        self._search = search
        self._written = written
        self._found: list[GenerationRequest] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="recall"):
            yield Static("RECALL", classes="title")
            yield Input(placeholder="words of an earlier prompt", compact=True)
            yield Lines(compact=True)
            yield KeyHints(HINTS)

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
        self._fill(0)

    def on_resize(self) -> None:
        """The lines are as long as there is room for."""
        self.call_after_refresh(lambda: self._fill(self.query_one(OptionList).highlighted or 0))

    def _fill(self, chosen: int) -> None:
        nothing = "nothing found: other words find more" if self.query_one(Input).value else "no prompt yet"
        fill(self.query_one(OptionList), [*map(self._line, self._found)], chosen, nothing)

    def _line(self, request: GenerationRequest) -> Content:
        changed = differing(self._written, request) if self._written.prompt else frozenset()
        settings = Content(" ").join(
            Content.styled(text, f"$foreground-muted {'underline' if field in changed else ''}")
            for field, text in (
                ("steps", f"{request.steps:>4} steps"),
                ("guidance_scale", f"{request.guidance_scale:>5g}"),
                ("scheduler", f"{request.scheduler:>16}"),
            )
        )
        columns = max(20, self.query_one(OptionList).size.width - settings.cell_length - 1)
        text = shortened(request.prompt, columns - 1)
        prompt = Content(f"{text:<{columns}}")
        for start, end in changed_words(text, self._written.prompt):
            prompt = prompt.stylize("underline", start, end)
        return Content.assemble(prompt, settings)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._search(event.value)

    def action_take(self) -> None:
        # The letters before the key wait in the box's own queue.
        self.query_one(Input).call_later(lambda: self._choose(self.query_one(OptionList).highlighted))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._choose(event.option_index)

    def _choose(self, index: int | None) -> None:
        if index is not None and index < len(self._found):
            self.dismiss(self._found[index])
