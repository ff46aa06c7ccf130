"""Cells as Textual draws them."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sdtui.terminal.cells import RGB, Cells


@lru_cache(maxsize=16384)
def _style(foreground: RGB | None, background: RGB | None) -> Style:
    return Style.from_color(
        Color.from_rgb(*foreground) if foreground else None,
        Color.from_rgb(*background) if background else None,
    )


def strips(cells: Cells) -> list[Strip]:
    """One strip for each row; cells without colours take those of what they lie on."""
    return [
        Strip(
            [Segment(char, _style(foreground, background)) for char, foreground, background in row],
            cells.columns,
        )
        for row in cells.cells
    ]
