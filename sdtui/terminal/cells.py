"""A picture as the terminal's character cells."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

RGB = tuple[int, int, int]


class Cell(NamedTuple):
    """One character with its colours; None is the terminal's own."""

    char: str
    foreground: RGB | None
    background: RGB | None


class Cells(msgspec.Struct, frozen=True):
    """A picture of ``columns`` by ``rows`` cells, row by row from the top."""

    columns: int
    rows: int
    cells: tuple[tuple[Cell, ...], ...]


def fit(width: int, height: int, columns: int, rows: int, aspect: float = 2.0) -> tuple[int, int]:
    """The largest (columns, rows) in a box that keeps a picture's aspect; at least (1, 1).

    ``width`` and ``height`` are the picture's pixels. A cell is ``aspect`` times as tall as it is wide.
    """
    scale = min(columns / width, aspect * rows / height)
    fitted = round(width * scale), round(height * scale / aspect)
    return min(columns, max(1, fitted[0])), min(rows, max(1, fitted[1]))
