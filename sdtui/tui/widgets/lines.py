"""A list of lines to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class Lines(OptionList):
    """A list that may be too small to be seen: it has no pages then, where Textual's raises KeyError."""

    def action_page_up(self) -> None:
        if self.scrollable_content_region:
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        if self.scrollable_content_region:
            super().action_page_down()  # type: ignore[no-untyped-call]


def fill(
    options: OptionList,
    lines: Sequence[Content] | Sequence[Option],
    highlighted: int = 0,
    nothing: str = "",
) -> None:
    """Have the list show these lines; ``nothing`` says why there is none."""
    options.clear_options()
    options.add_options(lines)
    if lines:
        options.highlighted = min(highlighted, len(lines) - 1)
    elif nothing:
        options.add_option(Option(Content.styled(nothing, "$foreground-muted"), disabled=True))
