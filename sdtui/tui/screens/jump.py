"""Jump mode: every part of the screen shows a letter, and the letter goes there."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.app import ComposeResult
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.widgets import Static

from sdtui.tui.screens.closing import ClosesOnce

LETTERS = {
    "p": "prompt",
    "n": "negative",
    "r": "request",
    "l": "library",
    "q": "queue",
    "c": "recent",
}


class Jump(ClosesOnce[str | None], ModalScreen[str | None]):
    """Dismisses with the part that was chosen. ``places`` says where the parts in sight begin."""

    CSS_PATH = "jump.tcss"

    def __init__(self, places: Mapping[str, Offset]) -> None:
        super().__init__()
        self._places = places

    def compose(self) -> ComposeResult:
        for letter, part in LETTERS.items():
            if part in self._places:
                label = Static(f" {letter} ", classes="letter")
                label.styles.offset = self._places[part]
                yield label
        hidden = [f"{letter} {part}" for letter, part in LETTERS.items() if part not in self._places]
        yield Static(f" {'   '.join(['jump to', *hidden, 'escape stays'])}", id="hidden")

    def on_key(self, event: events.Key) -> None:
        if event.character in LETTERS or event.key == "escape":
            event.stop()
            self.dismiss(LETTERS.get(event.character or ""))
