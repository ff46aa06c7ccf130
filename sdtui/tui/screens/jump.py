"""Jump mode: every part of the screen shows a letter, and the letter goes there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    """Dismisses with the part that was chosen. ``places`` says where the parts in sight begin now."""

    CSS_PATH = "jump.tcss"

    def __init__(self, places: Callable[[], Mapping[str, Offset]]) -> None:
        super().__init__()
        self._places = places

    def compose(self) -> ComposeResult:
        for letter, part in LETTERS.items():
            yield Static(f" {letter} ", classes="letter", id=part)
        yield Static(id="hidden")

    def on_mount(self) -> None:
        self._place()

    def on_resize(self) -> None:
        self.app.call_after_refresh(self._place)

    def _place(self) -> None:
        """Put each letter on its part, those of hidden parts into the last line."""
        places = self._places()
        for part in LETTERS.values():
            label = self.query_one(f"#{part}")
            label.display = part in places
            label.styles.offset = places.get(part, Offset())
        hidden = [f"{letter} {part}" for letter, part in LETTERS.items() if part not in places]
        words = "   ".join(["jump to a letter", *hidden, "escape stays"])
        self.query_one("#hidden", Static).update(f" {words}")

    def on_key(self, event: events.Key) -> None:
        if event.character in LETTERS or event.key == "escape":
            event.stop()
            self.dismiss(LETTERS.get(event.character or ""))
