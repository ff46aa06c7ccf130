"""A screen written down: its text, then what is in another style than the text around it.

The last part has a line for each row, or for several alike: the columns, counted from 0, and their
style. A colour of the theme has its name there, any other (of a picture, or dimmed) is ``~``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.color import Color
from rich.style import Style
from textual.app import App
from textual.strip import Strip

Size = tuple[int, int]
FOLDER = Path(__file__).parent / "snapshots"
COLOURS = {
    "foreground": "white",
    "foreground-muted": "muted",
    "foreground-disabled": "faint",
    "accent": "amber",
    "error": "red",
    "border-blurred": "line",
    "panel": "panel",
    "surface": "surface",
    "background": "black",
}
"""The theme's names of its colours, and ours; of two for one colour the last one counts."""
PLAIN = "white"
UNTOLD = (PLAIN, "line")
"""Styles that go without saying: what is usual, and a frame's."""


def written(app: App[None], home: Path) -> str:
    """The screen as it is now. The random end of ``home``'s name is replaced by one of its length."""
    variables = app.theme_variables
    names = {variables[name].lower(): ours for name, ours in COLOURS.items()}
    strips = app.screen._compositor.render_strips()
    text = "\n".join(strip.text.rstrip() for strip in strips)
    rows = groupby(enumerate(strips), lambda row: ", ".join(_spans(row[1], names)))
    styles = "\n".join(f"{_numbers([*group]):<7}{spans}" for spans, group in rows if spans)
    return f"{_anywhere(text, home)}\n\n{styles}\n"


def _numbers(rows: Sequence[tuple[int, object]]) -> str:
    """The first and the last of some rows, or the only one."""
    return f"{rows[0][0]}-{rows[-1][0]}" if len(rows) > 1 else str(rows[0][0])


def file_of(name: str, size: Size) -> Path:
    """Where the snapshot of a state at a size lies."""
    return FOLDER / f"{size[0]}x{size[1]}" / f"{name}.txt"


def _spans(strip: Strip, names: Mapping[str, str]) -> Iterator[str]:
    """Where a row's style is another one than the plain; the colour of a space counts for nothing."""
    running, start, end = PLAIN, 0, 0
    column = 0
    for segment in strip:
        spoken = _spoken(segment.style, names)
        inked = segment.text.strip() or _ground(spoken) != _ground(PLAIN)
        if spoken != running and (segment.text.strip() or _ground(spoken) != _ground(running)):
            yield from _span(start, end, running)
            running, start = spoken, column
        column += segment.cell_length
        if inked:
            end = column
    yield from _span(start, end, running)


def _span(start: int, end: int, spoken: str) -> Iterator[str]:
    if end > start and spoken not in UNTOLD:
        yield f"{start}-{end - 1} {spoken}"


def _ground(spoken: str) -> tuple[bool, str]:
    """What of a style is to be seen behind a space."""
    return "underline" in spoken, spoken.partition(" on ")[2]


def _spoken(style: Style | None, names: Mapping[str, str]) -> str:
    if style is None:
        return PLAIN
    colour, ground = _name(style.color, names, True), _name(style.bgcolor, names, False)
    if style.reverse:
        colour, ground = ground, colour
    marks = [mark for mark in ("bold", "italic", "underline") if getattr(style, mark)]
    return " ".join([*marks, colour, *(("on", ground) if ground not in ("black", "default") else ())])


def _name(colour: Color | None, names: Mapping[str, str], ink: bool) -> str:
    if colour is None or colour.is_default:
        return "white" if ink else "black"
    return names.get(colour.get_truecolor().hex.lower(), "~")


def _anywhere(text: str, home: Path) -> str:
    """The text with a home of another name; its beginning may be cut off."""
    random = home.name.removeprefix("sdtui-")
    fixed = ("snapshot" * 4)[: len(random)]
    text = text.replace(random, fixed)
    for length in range(len(random), 0, -1):
        text = text.replace(f"…{random[-length:]}/", f"…{fixed[-length:]}/")
    return text
