"""What stands on the terminal, so that only what differs is written.

Textual writes every cell of a widget that was refreshed: a letter in the prompt takes 5 kB, which is a
tenth of a second on a poor link. Kept here is what it wrote before, cell by cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from operator import and_, eq
from typing import NamedTuple, cast

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.geometry import Region, Size
from textual.strip import Strip

GAP = 6
"""Cells that stay the same and are written all the same: to go past them takes about as many bytes."""
JOINERS = frozenset("\u200d\ufe0f")
"""What makes the width of a text another one than that of its characters."""
LINED = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 12
"""Rich's attributes that are seen where no character is: lines under, through and over, and reverse."""

_COLOUR = r"8;(?:2;\d+;\d+;\d+|5;\d+)"
_COLOURS = re.compile(rf"(?:(?P<foreground>3{_COLOUR});)?(?P<background>4{_COLOUR})")

Characters = list[str | None]
"""A row: what stands in each cell with its marks, ``""`` in the second half of a wide character, None
where nobody knows."""


class Look(NamedTuple):
    """The parameters of an SGR sequence, and those that are enough where no ink is."""

    sgr: str
    ground: str


PLAIN = Look("", "")
Cells = tuple[list[str], list[Look]]


class Change(CompositorUpdate):
    """``text`` brings the terminal from the frame before to this one; ``spans`` are rows with the
    columns that it writes, from the first to before the last."""

    def __init__(self, text: str, spans: list[tuple[int, int, int]]) -> None:
        self.text, self.spans = text, spans

    def render_segments(self, console: Console) -> str:  # noqa: ARG002
        return self.text

    def writes(self, region: Region) -> bool:
        """Whether it writes into a region of the screen."""
        return any(
            region.y <= y < region.bottom and start < region.right and end > region.x
            for y, start, end in self.spans
        )


class Frame:
    """The cells of a terminal, as far as they were written through :meth:`change`."""

    def __init__(self) -> None:
        self._size = Size(0, 0)
        self._characters: list[Characters] = []
        self._looks: list[list[Look]] = []

    def forget(self, region: Region | None = None) -> None:
        """Something else was written into a region, or anywhere: it has to be written again."""
        whole = self._size.region
        for y in (whole if region is None else region.intersection(whole)).line_range:
            start, end = (0, self._size.width) if region is None else region.intersection(whole).column_span
            self._characters[y][start:end] = [None] * (end - start)

    def update(self, app: App[None], drawn: RenderableType | None) -> RenderableType | None:
        """What ``app`` has to display instead of what Textual has drawn; None where that changes nothing."""
        if not isinstance(drawn, LayoutUpdate | ChopsUpdate) or app._batch_count or not app.is_running:
            return drawn
        change = self.change(drawn, app.size, app.console)
        return cast(RenderableType, change) if change.text else None  # Textual knows its own kind by class

    def change(self, update: LayoutUpdate | ChopsUpdate, size: Size, console: Console) -> Change:
        """What is to be written for Textual's update of a terminal of ``size``."""
        if size != self._size:
            self._size = size
            self._characters = [[None] * size.width for _ in range(size.height)]
            self._looks = [[PLAIN] * size.width for _ in range(size.height)]
        writing = _Writing()
        for x, y, strip in _strips(update):
            if 0 <= y < size.height and strip:
                self._draw(writing, x, y, strip, console)
        return Change(writing.finished(), writing.spans)

    def _draw(self, writing: _Writing, x: int, y: int, strip: Strip, console: Console) -> None:
        cells = _cells(strip, console._color_system or ColorSystem.TRUECOLOR)
        end = x + strip.cell_length
        if cells is None or end > self._size.width:
            writing.whole(x, y, strip, console)
            self._characters[y][x:end] = [None] * (min(end, self._size.width) - x)
            return
        characters, looks = cells
        before, looked = self._characters[y][x:end], self._looks[y][x:end]
        if characters == before and looks == looked:
            return
        same = list(map(and_, map(eq, before, characters), map(eq, looked, looks)))
        for first, last in _runs(same, characters):
            writing.cells(x + first, y, characters[first:last], looks[first:last])
        self._characters[y][x:end] = characters
        self._looks[y][x:end] = looks


class _Writing:
    """The sequences of one change. It begins and ends with the terminal's plain style."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._look = PLAIN
        self._cursor = -1, -1
        self.spans: list[tuple[int, int, int]] = []

    def cells(self, x: int, y: int, characters: list[str], looks: list[Look]) -> None:
        """Write these cells."""
        self._go(x, y)
        at = 0
        for look, group in groupby(looks):
            count = sum(1 for _ in group)
            text = "".join(characters[at : at + count])
            at += count
            if self._look.ground != look.sgr or text.strip(" "):
                self._use(look)
            self._parts.append(text)
        self._came_to(x, y, x + at)

    def whole(self, x: int, y: int, strip: Strip, console: Console) -> None:
        """Write a strip as Textual does."""
        self._go(x, y)
        self._use(PLAIN)
        self._parts.append(strip.render(console))
        self._came_to(x, y, x + strip.cell_length)
        self._cursor = -1, -1  # a terminal may take its width for another

    def finished(self) -> str:
        """Everything."""
        self._use(PLAIN)
        return "".join(self._parts)

    def _go(self, x: int, y: int) -> None:
        if (x, y) != self._cursor:
            self._parts.append(f"\x1b[{y + 1};{x + 1}H")

    def _use(self, look: Look) -> None:
        if look.sgr != self._look.sgr:
            self._parts.append(_turn(self._look.sgr, look.sgr))
        self._look = look

    def _came_to(self, x: int, y: int, end: int) -> None:
        self.spans.append((y, x, end))
        self._cursor = end, y


def _turn(before: str, after: str) -> str:
    """The sequence from one look to another. Between two that are colours alone only what differs is told."""
    old, new = _colours(before), _colours(after)
    if old is None or new is None or (old[0] and not new[0]):
        return f"\x1b[0;{after}m" if after else "\x1b[0m"
    return f"\x1b[{';'.join(colour for colour in new if colour not in old)}m"


@lru_cache(maxsize=4096)
def _colours(sgr: str) -> tuple[str, str] | None:
    """Foreground, empty where there is none, and background of a look that is nothing else."""
    found = _COLOURS.fullmatch(sgr)
    return (found["foreground"] or "", found["background"]) if found else None


def _strips(update: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Column, row and content of everything that an update draws."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield x, y, strip
                x += strip.cell_length
        return
    for y, start, stop in update.spans:
        for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if chop is not None and x < stop and end > start:
                yield x, y, chop.crop(0, min(end, stop) - x)


def _cells(strip: Strip, colours: ColorSystem) -> Cells | None:
    """A strip cell by cell; None where it is not that simple: links, or characters of unsure width."""
    characters: list[str] = []
    looks: list[Look] = []
    for text, style, control in strip:
        if control or (style is not None and style._link) or not JOINERS.isdisjoint(text):
            return None
        before = len(characters)
        if text.isascii():
            characters += text
        else:
            _spread(text, characters)
        look, ground = (PLAIN, PLAIN) if style is None else _look(style, colours)
        if " " in text:
            looks += [ground if character == " " else look for character in characters[before:]]
        else:
            looks += [look] * (len(characters) - before)
    return (characters, looks) if len(characters) == strip.cell_length else None


@lru_cache(maxsize=16384)
def _look(style: Style, colours: ColorSystem) -> tuple[Look, Look]:
    """How a character looks in a style, and how a space does."""
    sgr = ground = Strip.render_ansi(style, colours)
    if not style._attributes & style._set_attributes & LINED:
        ground = ";".join(style.bgcolor.downgrade(colours).get_ansi_codes(False)) if style.bgcolor else ""
    look = Look(sgr, ground)
    return look, look if sgr == ground else Look(ground, ground)


def _spread(text: str, characters: list[str]) -> None:
    """Add each character with its marks, and an empty one after those that take two cells."""
    for character in text:
        width = get_character_cell_size(character)
        if width or not characters:  # a mark without a character: that makes one too many
            characters += (character, "")[: max(1, width)]
        else:
            characters[-1 if characters[-1] else -2] += character


def _runs(same: list[bool], characters: list[str]) -> Iterator[tuple[int, int]]:
    """From where to before where cells are to be written; a small gap between two runs is filled."""
    first, last = -1, -1
    for index, equal in enumerate(same):
        if equal:
            continue
        if first >= 0 and index - last > GAP:
            yield _whole(first, last, characters)
            first = -1
        first = index if first < 0 else first
        last = index + 1
    if first >= 0:
        yield _whole(first, last, characters)


def _whole(first: int, last: int, characters: list[str]) -> tuple[int, int]:
    """The run without half a wide character at its ends."""
    while first > 0 and not characters[first]:
        first -= 1
    while last < len(characters) and not characters[last]:
        last += 1
    return first, last
