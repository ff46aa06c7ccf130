"""A list's lines, written anew."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option


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
