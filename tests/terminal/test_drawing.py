"""A picture in its box: pieces that fit a slice and budgets that are kept."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import pytest
from PIL import Image

from sdtui.terminal.answers import CellSize
from sdtui.terminal.drawing import Box, Piece, draw, preview
from sdtui.terminal.kitty import CHUNK
from sdtui.terminal.pace import LARGEST_SLICE, SMALLEST_SLICE, UNKNOWN_RATE, Pace
from tests.terminal.sixel_decoder import decode

NOISE = Image.merge("RGB", [Image.effect_noise((128, 128), level) for level in (50, 70, 90)])
CELL = CellSize(8, 16)


def png_of(pieces: list[Piece]) -> Image.Image:
    """The picture in kitty's commands."""
    sent = b"".join(piece.data for piece in pieces)
    payload = b"".join(re.findall(rb"\x1b_G[^;]*;([^\x1b]*)\x1b\\", sent))
    return Image.open(BytesIO(base64.b64decode(payload)))


@pytest.mark.parametrize("budget", [8_000, 30_000, 60_000])
def test_a_preview_for_kitty_keeps_its_budget(budget: int) -> None:
    pieces = preview("kitty", NOISE, Box(40, 20, CELL, 20), budget)
    assert sum(len(piece.data) for piece in pieces) <= budget * 1.05
    assert png_of(pieces).width >= 16


def test_what_stays_is_sent_whole_but_no_larger_than_its_cells() -> None:
    large = NOISE.resize((800, 800))
    assert png_of(draw("kitty", large, Box(40, 20, CELL, 20), 512_000)).size == (320, 320)
    assert png_of(draw("kitty", NOISE, Box(40, 20, CELL, 20), 512_000)).size == NOISE.size


def test_kitty_on_a_slow_link_gets_whole_commands_slice_by_slice() -> None:
    pieces = draw("kitty", NOISE, Box(40, 20, CELL, 20), 3 * CHUNK)
    assert len(pieces) > 3
    assert all(len(piece.data) <= 3 * CHUNK for piece in pieces)
    assert all(piece.data.startswith(b"\x1b_G") and piece.data.endswith(b"\x1b\\") for piece in pieces)
    assert png_of(pieces).convert("RGB").tobytes() == NOISE.tobytes()


def test_through_tmux_every_command_is_wrapped_by_itself() -> None:
    (piece,) = draw("kitty", NOISE, Box(40, 20, CELL, 20, wrapped=True), 512_000)
    wrapped = re.findall(rb"\x1bPtmux;\x1b\x1b_G[^\x1b]*\x1b\x1b\\\x1b\\", piece.data)
    assert b"".join(wrapped) == piece.data
    assert all(len(command) < CHUNK + 100 for command in wrapped)


def test_sixels_fill_their_cells_but_for_part_of_a_band() -> None:
    (piece,) = draw("sixel", NOISE, Box(10, 5, CELL), 512_000)
    size, pixels = decode(piece.data)
    assert size == (80, 78)
    assert len(pixels) == 80 * 78


@pytest.mark.parametrize("height", [13, 15, 16, 17, 18, 20])
def test_sixels_on_a_slow_link_come_as_strips_of_whole_bands_that_meet(height: int) -> None:
    box = Box(20, 20, CellSize(8, height))
    pieces = draw("sixel", NOISE.resize((40, 40)), box, 20_000)
    assert len(pieces) > 2
    assert pieces[0].row == 0
    below = 0
    for piece in pieces:
        size, _ = decode(piece.data)
        assert piece.row is not None
        assert (size[0], piece.row * height) == (160, below)
        assert size[1] % 6 == 0
        below += size[1]
    assert 20 * height - 6 < below <= 20 * height


def test_inline_images_on_a_slow_link_come_as_strips_that_meet() -> None:
    pieces = draw("iterm2", NOISE, Box(40, 20, CELL), 20_000)
    heights = [int(re.search(rb";height=(\d+);", piece.data)[1]) for piece in pieces]  # type: ignore[index]
    assert len(pieces) > 3
    assert [piece.row for piece in pieces] == [sum(heights[:number]) for number in range(len(heights))]
    assert sum(heights) == 20


def test_a_piece_is_drawn_in_its_place_and_the_cursor_put_back() -> None:
    assert Piece(b"x", 3).at(4, 5) == b"\x1b7\x1b[9;5Hx\x1b8"
    assert Piece(b"x").at(4, 5) == b"x"


def test_the_pace_of_a_link_is_learnt() -> None:
    pace = Pace()
    assert pace.rate == UNKNOWN_RATE
    pace.took(10, 0.08)
    for _ in range(6):
        pace.took(16_000, 0.08 + 16_000 / 50_000)
    assert pace.delay == 0.08
    assert 45_000 < pace.rate < 55_000
    assert pace.slice == pytest.approx(12_500, rel=0.1)
    assert pace.within(2.0) == pytest.approx(100_000, rel=0.1)
    for size, seconds, slices in ((400_000, 0.001, LARGEST_SLICE), (20_000, 20.0, SMALLEST_SLICE)):
        for _ in range(20):
            pace.took(size, seconds)
        assert pace.slice == slices
