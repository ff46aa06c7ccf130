"""The last line of a screen: its keys, as they are in force."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

GAP = "  "


class KeyHints(Widget):
    """``words`` says for each binding's id what it does, in a word; the first that fit are shown."""

    keys: reactive[Mapping[str, str]] = reactive(dict)

    def __init__(self, words: Mapping[str, str]) -> None:
        super().__init__()
        self._words = words

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._read_keys())
        self._read_keys()

    def _read_keys(self) -> None:
        """Take the keys from the bindings in force, so that a remapped key is the one shown."""
        keys: dict[str, str] = {}
        for active in self.screen.active_bindings.values():
            identity = active.binding.id
            if active.enabled and identity and identity in self._words:
                keys.setdefault(identity, self.app.get_key_display(active.binding))
        self.keys = keys

    def render(self) -> Content:
        line = Content(" ")
        for identity, word in self._words.items():
            if identity not in self.keys:
                continue
            hint = Content.assemble(
                (self.keys[identity], "bold $accent"), " ", (word, "$foreground-muted"), GAP
            )
            if line.cell_length + hint.cell_length - len(GAP) > self.size.width:
                break
            line += hint
        return line
