"""What is written instead of whole widgets brings the terminal to the same cells."""

from __future__ import annotations

from collections.abc import Sequence

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region, Size
from textual.strip import Strip

from sdtui.tui.frame import Frame

WIDTH, HEIGHT = 12, 4
CONSOLE = Console(color_system="truecolor", force_terminal=True)
STYLES = (
    None,
    Style(color="#ece4d6", bgcolor="#0e0d0c"),
    Style(color="#8d867b", bgcolor="#0e0d0c"),
    Style(color="#ece4d6", bgcolor="#e8b04a", bold=True),
    Style(bgcolor="#e8b04a"),
    Style(color="#8d867b", bgcolor="#0e0d0c", underline=True),
    Style(color="#0e0d0c", reverse=True),
)
LETTERS = st.sampled_from([*"ab  .", "é", "–", "漢", "▀"])
SEGMENTS = st.lists(
    st.builds(lambda t, s: Segment("".join(t), s), st.lists(LETTERS, max_size=6), st.sampled_from(STYLES))
)


@st.composite
def strips(draw: st.DrawFn, width: int = WIDTH) -> Strip:
    """A strip as wide as the screen, of styled text and wide characters."""
    return Strip(draw(SEGMENTS)).adjust_cell_length(width)


@st.composite
def updates(draw: st.DrawFn) -> LayoutUpdate | ChopsUpdate:
    """The whole screen in one or two strips a row, or some columns of some rows."""
    rows = [draw(strips()) for _ in range(HEIGHT)]
    cut = draw(st.integers(1, WIDTH - 1))
    parts = [[row.crop(0, cut), row.crop(cut, WIDTH)] for row in rows]
    if draw(st.booleans()):
        return LayoutUpdate(list(parts), Region(0, 0, WIDTH, HEIGHT))
    chosen = draw(st.lists(st.integers(0, HEIGHT - 1), min_size=1, unique=True))
    spans = [(y, *draw(st.sampled_from([(0, WIDTH), (0, cut), (cut, WIDTH)]))) for y in sorted(chosen)]
    return ChopsUpdate(
        [dict(zip((0, cut), row, strict=True)) for row in parts], spans, [[cut, WIDTH] for _ in rows]
    )


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """What a person sees: of a space only its ground."""
    seen = []
    for y in range(HEIGHT):
        row = [screen.buffer[y][x] for x in range(WIDTH)]
        seen.append([c if c.data != " " or c.underscore or c.reverse else ("ground", c.bg) for c in row])
    return seen


def terminal() -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(WIDTH, HEIGHT)
    return screen, pyte.Stream(screen)


@settings(max_examples=60)
@given(st.lists(updates(), min_size=1, max_size=3))
def test_the_cells_are_those_of_textuals_own_updates(drawn: Sequence[LayoutUpdate | ChopsUpdate]) -> None:
    ours, our_stream = terminal()
    textuals, textual_stream = terminal()
    frame = Frame()
    for update in drawn:
        textual_stream.feed(update.render_segments(CONSOLE).replace("\n", ""))
        our_stream.feed(frame.change(update, Size(WIDTH, HEIGHT), CONSOLE).text)
        assert cells(ours) == cells(textuals)


def whole(*rows: str, style: Style | None = STYLES[1]) -> LayoutUpdate:
    """A screen of these rows."""
    lines = [[Strip([Segment(row, style)]).adjust_cell_length(WIDTH)] for row in rows]
    return LayoutUpdate(list(lines), Region(0, 0, WIDTH, len(rows)))


def written(frame: Frame, update: LayoutUpdate) -> str:
    return frame.change(update, Size(WIDTH, HEIGHT), CONSOLE).text


def test_what_stands_there_is_not_written_again() -> None:
    frame = Frame()
    assert "steps 20" in written(frame, whole("steps 20", "seed 7"))
    assert written(frame, whole("steps 20", "seed 7")) == ""
    assert (
        written(frame, whole("steps 21", "seed 7"))
        == "\x1b[1;8H\x1b[0;38;2;236;228;214;48;2;14;13;12m1\x1b[0m"
    )


def test_what_something_else_has_gone_over_is() -> None:
    frame = Frame()
    written(frame, whole("steps 20", "seed 7"))
    frame.forget(Region(2, 1, 2, 5))
    change = frame.change(whole("steps 20", "seed 7"), Size(WIDTH, HEIGHT), CONSOLE)
    assert change.spans == [(1, 2, 4)]
    assert change.writes(Region(0, 0, 3, 2))
    assert not change.writes(Region(0, 0, 12, 1))
    frame.forget()
    assert "steps 20" in written(frame, whole("steps 20", "seed 7"))


def test_another_size_is_another_screen() -> None:
    frame = Frame()
    written(frame, whole("steps 20"))
    assert "steps 20" in frame.change(whole("steps 20"), Size(WIDTH, HEIGHT - 1), CONSOLE).text


def test_marks_stay_with_their_characters() -> None:
    screen, stream = terminal()
    frame = Frame()
    for word in ("cafe\u0301 a", "cafe\u0301 b", "caff\u0301 b"):
        stream.feed(written(frame, whole(word)))
    assert screen.display[0].rstrip() == "caff\u0301 b"


def test_of_what_terminals_take_for_different_widths_all_is_written() -> None:
    frame = Frame()
    family = whole("👩\u200d🚀 flies")
    assert written(frame, family) == written(frame, family) != ""
