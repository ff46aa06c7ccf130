"""Pictures as half blocks: size, aspect, colours, and the smoothness of what is enlarged."""

from __future__ import annotations

import itertools
import time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.color import Color, ColorSystem, ColorType

from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.cells import Cells, fit
from sdtui.terminal.halfblock import EMPTY, FULL, UPPER, half_blocks
from sdtui.terminal.palette import ANSI_16, XTERM_256

DEPTHS: tuple[ColourDepth, ...] = get_args(ColourDepth)
sides = st.integers(1, 2000)
boxes = st.integers(1, 200)
small = st.integers(1, 50)


def pixels(cells: Cells) -> list[list[tuple[int, int, int] | None]]:
    """The pixel rows that half blocks stand for."""
    rows: list[list[tuple[int, int, int] | None]] = []
    for line in cells.cells:
        rows.append([cell.foreground for cell in line])
        rows.append([cell.background for cell in line])
    return rows


@given(sides, sides, boxes, boxes)
def test_a_picture_fits_its_box_and_touches_two_sides_of_it(
    width: int, height: int, columns: int, rows: int
) -> None:
    fitted = fit(width, height, columns, rows)
    assert 1 <= fitted[0] <= columns
    assert 1 <= fitted[1] <= rows
    assert fitted[0] == columns or fitted[1] == rows


@given(sides, sides, st.integers(20, 200), st.integers(20, 200))
def test_the_aspect_is_kept_to_half_a_cell(width: int, height: int, columns: int, rows: int) -> None:
    fitted = fit(width, height, columns, rows)
    scale = min(columns / width, 2 * rows / height)
    assert abs(fitted[0] - max(1, width * scale)) <= 0.5
    assert abs(2 * fitted[1] - max(2, height * scale)) <= 1


@settings(deadline=None, max_examples=40)
@given(small, small, small, small, st.sampled_from(DEPTHS))
def test_the_cells_are_as_many_as_they_say(
    width: int, height: int, columns: int, rows: int, depth: ColourDepth
) -> None:
    cells = half_blocks(Image.new("RGB", (width, height), "red"), columns, rows, depth)
    assert (cells.columns, cells.rows) == fit(width, height, columns, rows)
    assert len(cells.cells) == cells.rows
    assert {len(line) for line in cells.cells} == {cells.columns}


def test_a_picture_of_the_very_size_is_drawn_pixel_for_pixel() -> None:
    image = Image.new("RGB", (6, 4))
    colours = [(40 * x, 60 * y, 10 * x * y) for y in range(4) for x in range(6)]
    image.putdata(colours)
    cells = half_blocks(image, 6, 2, "truecolor")
    assert [colour for row in pixels(cells) for colour in row] == colours
    assert {cell.char for line in cells.cells for cell in line} == {UPPER}


def test_four_quarters_keep_their_place_when_a_large_picture_is_reduced() -> None:
    image = Image.new("RGB", (512, 512))
    quarters = {(0, 0): (255, 0, 0), (256, 0): (0, 255, 0), (0, 256): (0, 0, 255), (256, 256): (255, 255, 0)}
    for place, colour in quarters.items():
        image.paste(colour, (*place, place[0] + 256, place[1] + 256))
    rows = pixels(half_blocks(image, 40, 20, "truecolor"))
    assert [rows[5][5], rows[5][34], rows[34][5], rows[34][34]] == list(quarters.values())


def test_a_small_preview_is_enlarged_smoothly() -> None:
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (4, 0, 8, 8))
    row = [colour[0] for colour in pixels(half_blocks(image, 64, 32, "truecolor"))[32] if colour]
    steps = [abs(after - before) for before, after in itertools.pairwise(row)]
    assert row[0] == 0
    assert row[-1] == 255
    assert max(steps) < 64, "a hard edge: the eight pixels show as blocks"


@pytest.mark.parametrize(("depth", "palette"), [("256", XTERM_256), ("16", ANSI_16)])
def test_few_colours_are_those_of_the_palette_and_average_to_the_picture(
    depth: ColourDepth, palette: tuple[tuple[int, int, int], ...]
) -> None:
    image = Image.new("RGB", (64, 64), (200, 120, 90))
    drawn = [colour for row in pixels(half_blocks(image, 64, 32, depth)) for colour in row if colour]
    assert set(drawn) <= set(palette)
    assert len(set(drawn)) > 1, "not dithered"
    for channel, wanted in enumerate((200, 120, 90)):
        assert abs(sum(colour[channel] for colour in drawn) / len(drawn) - wanted) < 8


def test_rich_sends_each_of_the_256_colours_as_itself() -> None:
    for rgb in XTERM_256:
        sent = Color.from_rgb(*rgb).downgrade(ColorSystem.EIGHT_BIT)
        shown = Color.from_ansi(sent.number or 0).get_truecolor()
        assert max(abs(ours - theirs) for ours, theirs in zip(rgb, shown, strict=True)) <= 7, rgb


def test_rich_sends_each_of_the_16_colours_as_itself() -> None:
    sent = [Color.from_rgb(*rgb).downgrade(ColorSystem.STANDARD) for rgb in ANSI_16]
    assert [color.number for color in sent] == list(range(16))
    assert {color.type for color in sent} == {ColorType.STANDARD}


def test_without_colour_light_is_a_block_and_dark_is_empty() -> None:
    image = Image.new("RGB", (20, 20))
    image.paste((255, 255, 255), (0, 0, 20, 10))
    cells = half_blocks(image, 20, 10, "mono")
    assert {cell.char for cell in cells.cells[0]} == {FULL}
    assert {cell.char for cell in cells.cells[-1]} == {EMPTY}
    assert {(cell.foreground, cell.background) for line in cells.cells for cell in line} == {(None, None)}


def test_greys_are_as_light_as_the_colours_were() -> None:
    image = Image.new("RGB", (4, 4), (255, 0, 0))
    drawn = {colour for row in pixels(half_blocks(image, 4, 2, "grey")) for colour in row}
    assert drawn == {(76, 76, 76)}, "the luma of red, by ITU-R 601"


def test_a_picture_with_an_alpha_channel_or_a_palette_is_drawn_too() -> None:
    for mode in ("RGBA", "P", "L", "1"):
        assert half_blocks(Image.new(mode, (8, 8)), 8, 4, "truecolor").columns == 8


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_step_costs_a_few_milliseconds(depth: ColourDepth) -> None:
    image = Image.effect_noise((16, 16), 80).convert("RGB")
    half_blocks(image, 70, 40, depth)

    def once() -> float:
        start = time.perf_counter()
        half_blocks(image, 70, 40, depth)
        return time.perf_counter() - start

    assert min(once() for _ in range(5)) < 0.02
