"""The line above the prompt: how much of the model's length it uses."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class PromptTitle(Widget):
    """``tokens`` is how many the prompt has and how many the model takes, None while that is unknown."""

    tokens: reactive[tuple[int, int] | None] = reactive(None)

    def render(self) -> Content:
        title = Content.styled("PROMPT", "$foreground-muted")
        count, limit = self.tokens or (0, 0)
        if not count:
            return title
        over = count > limit
        text = f"{count} of {limit} tokens" + (", the rest is cut off" if over else "")
        gap = max(1, self.size.width - title.cell_length - len(text))
        return Content.assemble(title, " " * gap, (text, "$error" if over else "$foreground-muted"))
