"""The last line of a screen: its keys, as they are in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from textual import events
from textual.binding import ActiveBinding
from textual.content import Content
from textual.dom import DOMNode
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

WIDE = 100
"""Columns in which the hints have more room between them."""
OF_EVERY_SCREEN = ("tab", "shift+tab")
"""Keys that Textual's screens have: where they come first, another key of the same command is shown."""


class Hint(msgspec.Struct, frozen=True):
    """A key, what it does in a word or two, and the action behind it."""

    key: str
    word: str
    action: str
    node: DOMNode

    @property
    def width(self) -> int:
        """Its columns."""
        return len(self.key) + 1 + len(self.word)


def in_force(screen: Screen[object]) -> dict[str, ActiveBinding]:
    """The binding of each command that has a use now, by its id."""
    found: dict[str, ActiveBinding] = {}
    active = sorted(screen.active_bindings.items(), key=lambda item: item[0] in OF_EVERY_SCREEN)
    for _, each in active:
        if each.enabled and each.binding.id:
            found.setdefault(each.binding.id, each)
    return found


class KeyHints(Widget):
    """Each of the ``forms`` says for bindings, by their ids, what they do in a word.

    The first form that fits is shown. When none does, hints of the last one are left out before its
    very last: the way out is always there. A click does what the key does.
    """

    forms: reactive[Sequence[Mapping[str, str]]] = reactive(tuple)
    bindings: reactive[Mapping[str, ActiveBinding]] = reactive(dict)

    def __init__(self, *forms: Mapping[str, str]) -> None:
        super().__init__()
        self.set_reactive(KeyHints.forms, forms)

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._read_keys())
        self._read_keys()

    def _read_keys(self) -> None:
        self.bindings = in_force(self.screen)

    @property
    def _gap(self) -> int:
        return 3 if self.size.width >= WIDE else 2

    def _hints(self) -> list[Hint]:
        """Those there is room for."""
        hints: list[Hint] = []
        for form in self.forms:
            hints = [
                Hint(self.app.get_key_display(each.binding), word, each.binding.action, each.node)
                for id, word in form.items()
                if (each := self.bindings.get(id))
            ]
            if self._width(hints) <= self.size.width:
                return hints
        while len(hints) > 1 and self._width(hints) > self.size.width:
            del hints[-2]
        return hints

    def _width(self, hints: Sequence[Hint]) -> int:
        return 2 + sum(hint.width + self._gap for hint in hints) - self._gap

    def render(self) -> Content:
        hints = (
            Content.assemble((hint.key, "bold $accent"), " ", (hint.word, "$foreground-muted"))
            for hint in self._hints()
        )
        return Content.assemble(" ", Content(" " * self._gap).join(hints))

    async def on_click(self, event: events.Click) -> None:
        start = 1
        for hint in self._hints():
            if start <= event.x < start + hint.width:
                await self.app.run_action(hint.action, hint.node)
                return
            start += hint.width + self._gap
