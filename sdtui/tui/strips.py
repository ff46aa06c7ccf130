"""Cells as Textual draws them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sdtui.terminal.cells import RGB, Cell, Cells
from sdtui.terminal.halfblock import EMPTY


@lru_cache(maxsize=16384)
def _style(foreground: RGB | None, background: RGB | None) -> Style:
    return Style.from_color(_colour(foreground), _colour(background))


def _colour(rgb: RGB | None) -> Color | None:
    """Without its name in hexadecimals, which takes longer than the rest, and which nobody reads."""
    return Color("", ColorType.TRUECOLOR, triplet=ColorTriplet(*rgb)) if rgb else None


def strips(cells: Cells) -> list[Strip]:
    """One strip for each row; cells without colours take those of what they lie on."""
    return [Strip(list(_segments(row)), cells.columns) for row in cells.cells]


def _segments(row: tuple[Cell, ...]) -> Iterator[Segment]:
    """Equal cells beside each other are one; a cell of one colour needs no foreground."""
    for (char, foreground, background), equal in groupby(row):
        many = sum(1 for _ in equal)
        if foreground == background and foreground is not None:
            yield Segment(EMPTY * many, _style(None, background))
        else:
            yield Segment(char * many, _style(foreground, background))
