"""One of a few values, chosen with left and right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingsMap, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.tui.key_order import act_in_turn


class Choice(Widget, can_focus=True):
    """Shows its value; with the focus, that it can be turned."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "the value before", id="choice.before", show=False),
        Binding("right,space", "turn(1)", "the next value", id="choice.next", show=False),
    ]

    @dataclass
    class Changed(Message):
        """The person chose another value."""

        choice: Choice

        @property
        def control(self) -> Choice:
            """Which choice it is."""
            return self.choice

    value: reactive[str] = reactive("")

    def __init__(self, values: Sequence[str], value: str, *, id: str) -> None:
        super().__init__(id=id)
        self._values = tuple(values)
        self.set_reactive(Choice.value, value)

    def action_turn(self, by: int) -> None:
        index = self._values.index(self.value) + by
        self.value = self._values[index % len(self._values)]
        self.post_message(self.Changed(self))

    async def on_key(self, event: events.Key) -> None:
        await act_in_turn(self, BindingsMap(self.BINDINGS), event)

    def render(self) -> Content:
        if self.has_focus:
            return Content.styled(f"‹ {self.value} ›", "bold $accent")
        return Content(self.value)
