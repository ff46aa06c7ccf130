"""Where the prompt is written, and the negative one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingsMap
from textual.message import Message
from textual.widgets import TextArea

from sdtui.tui.completion import Vocabulary
from sdtui.tui.difference import changed_words
from sdtui.tui.highlighting import marks
from sdtui.tui.key_order import act_in_turn

_CHANGED = Style(underline=True)
_KEYS = BindingsMap(TextArea.BINDINGS)
_FIRST_WORD = re.compile(r"\W*\w+")


class PromptEditor(TextArea):
    """A text area without frame, with a way back to earlier prompts, and a ghost of what may follow.

    Where ``walks`` is false, up and down stay inside the text. ``vocabulary`` knows what may follow.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"prompt--sign", "prompt--drawn", "prompt--more", "prompt--less"}

    @dataclass(eq=False, repr=False)
    class Walked(Message):
        """The cursor left the text at the top (``by`` +1, to earlier prompts) or the bottom (-1)."""

        editor: PromptEditor
        by: int

    def __init__(self, text: str, *, id: str, placeholder: str, walks: bool, vocabulary: Vocabulary) -> None:
        super().__init__(text, id=id, placeholder=placeholder, compact=True, highlight_cursor_line=False)
        self.cursor_blink = False  # motion only where work happens, and nothing sent while idle
        self._hint = placeholder
        self._ghost = ""
        self._walks = walks
        self._compared: str | None = None
        self._vocabulary = vocabulary

    async def on_key(self, event: events.Key) -> None:
        await act_in_turn(self, _KEYS, event)

    def on_mount(self) -> None:
        self.move_cursor(self.document.end)

    def set_text(self, text: str) -> None:
        """Replace everything, the cursor at the end; undo brings the text before it back."""
        if text == self.text:
            return
        self.replace(text, self.document.start, self.document.end)
        self.move_cursor(self.document.end)

    def offer(self, ghost: str) -> None:
        """Show ``ghost`` while the editor is empty; right takes it, and so does generating."""
        self._ghost = ghost
        self.placeholder = ghost or self._hint

    def take_ghost(self) -> None:
        """Make the ghost real, if there is one to see."""
        if not self.text and self._ghost:
            self.insert(self._ghost)

    def compare(self, other: str | None) -> None:
        """Underline what differs from ``other``, the prompt of the picture on the canvas."""
        if other != self._compared:
            self._compared = other
            self._line_cache.clear()
            self.refresh()

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        before = sum(len(self.document.get_line(index)) + 1 for index in range(line_index))
        for start, end, kind in marks(self.text):
            if start < before + len(line) and end > before:
                style = self.get_component_rich_style(f"prompt--{kind}", partial=True)
                line.stylize(style, max(0, start - before), end - before)
        if self._compared is not None:
            for start, end in changed_words(self.text, self._compared):
                if before <= start < before + len(line):
                    line.stylize(_CHANGED, start - before, end - before)
        return line

    def update_suggestion(self) -> None:
        row, column = self.cursor_location
        line = self.document.get_line(row)
        at_end = column == len(line) or line[column] in ",\n"
        written = self.get_text_range((0, 0), self.cursor_location)
        self.suggestion = self._vocabulary.completion(written) if at_end and self.selection.is_empty else ""

    def action_cursor_word_right(self, select: bool = False) -> None:
        if self.suggestion and not select:
            word = _FIRST_WORD.match(self.suggestion)
            self.insert(word[0] if word else self.suggestion)
        else:
            super().action_cursor_word_right(select)

    def action_cursor_right(self, select: bool = False) -> None:
        if not self.text and self._ghost and not select:
            self.take_ghost()
        else:
            super().action_cursor_right(select)

    def action_cursor_up(self, select: bool = False) -> None:
        at_top = self.navigator.is_first_wrapped_line(self.cursor_location)
        if self._walks and at_top and not select:
            self.post_message(self.Walked(self, +1))
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        at_bottom = self.navigator.is_last_wrapped_line(self.cursor_location)
        if self._walks and at_bottom and not select:
            self.post_message(self.Walked(self, -1))
        else:
            super().action_cursor_down(select)
