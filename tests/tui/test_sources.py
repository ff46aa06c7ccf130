"""A picture as the source of the next one, and the mask painted on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdtui.request import GenerationRequest
from sdtui.tui.mask import DOTS, new_mask, read_mask, write_mask
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.mask import MaskScreen
from sdtui.tui.widgets.mask_painter import MaskPainter
from sdtui.tui.widgets.request_panel import RequestPanel
from tests.tui.opened import Opened, make_picture, opened

pytestmark = pytest.mark.usefixtures("home")

APPLE = GenerationRequest(prompt="red apple", seed=7)
fractions = st.floats(0, 1, exclude_max=True)


def painter(studio: Opened) -> MaskPainter:
    return studio.app.screen.query_one(MaskPainter)


# ---- the source ----------------------------------------------------------------------------------


async def test_a_recent_picture_becomes_the_source_and_is_let_go_again() -> None:
    record = make_picture(APPLE)
    async with opened() as studio:
        await studio.type("a green pear")
        await studio.press("f8", "i")
        await studio.shows("source", "red-apple-7.png")
        submit = await studio.generate()
        assert (submit.request.image, submit.request.prompt) == (record.path, "a green pear")
        panel = studio.app.create.query_one(RequestPanel)
        await studio.press("f4", *["down"] * 5, "delete")
        assert panel.row == 5
        await studio.until(lambda: studio.app.session.draft.image is None)
        await studio.press("escape")
        assert "red-apple-7.png" not in studio.text


async def test_a_source_is_typed_and_a_file_that_is_not_there_refused() -> None:
    record = make_picture(APPLE)
    async with opened(80, 24) as studio:
        await studio.press("f4", *["down"] * 5)
        await studio.type("/no/such.png")
        await studio.press("enter")
        await studio.shows("there is no file /no/such.png")
        await studio.type(record.path)
        await studio.press("enter", "down", "left", "left")
        await studio.until(lambda: studio.app.session.draft.strength == 0.65)
        assert studio.app.session.draft.image == record.path


# ---- masks ---------------------------------------------------------------------------------------


def test_a_dab_paints_what_is_within_its_radius_and_an_eraser_takes_it_back() -> None:
    mask = new_mask(512, 256)
    assert (mask.width, mask.height) == (DOTS, DOTS // 2)
    painted = mask.painted(0.5, 0.5, (0.1, 0.2), erase=False)
    assert painted.at(0.5, 0.5)
    assert painted.at(0.59, 0.5)
    assert painted.at(0.5, 0.68)
    assert not painted.at(0.62, 0.5)
    assert not painted.at(0.59, 0.68), "the brush is round"
    assert painted.painted(0.5, 0.5, (0.2, 0.4), erase=True) == mask
    assert mask.empty
    assert painted.share == pytest.approx(3.1416 * 0.1 * 0.2, rel=0.05)


@given(fractions, fractions, st.floats(0.001, 1), st.integers(8, 2000), st.integers(8, 2000))
def test_every_dab_inside_the_picture_paints_its_place(
    across: float, down: float, radius: float, width: int, height: int
) -> None:
    mask = new_mask(width, height)
    wide = max(radius, 1 / mask.width), max(radius, 1 / mask.height)
    painted = mask.painted(across, down, wide, erase=False)
    assert painted.at(across, down)
    assert painted.inverted().inverted() == painted


def test_a_mask_is_white_where_it_is_painted_and_read_back() -> None:
    mask = new_mask(320, 192).painted(0.25, 0.5, (0.1, 0.2), erase=False)
    path = write_mask(mask, 320, 192)
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((320, 192), "L")
        assert image.getpixel((80, 96)) == 255
        assert image.getpixel((240, 96)) == 0
    assert read_mask(path, 320, 192) == mask
    assert write_mask(mask, 320, 192) != path, "an earlier mask is not written over"
    assert read_mask(Path("/no/such.png"), 320, 192).empty


@pytest.mark.parametrize(("width", "height"), [(160, 48), (80, 24)])
async def test_a_mask_is_painted_by_keyboard(width: int, height: int) -> None:
    record = make_picture(APPLE)
    async with opened(width, height) as studio:
        await studio.type("a worm")
        await studio.until(lambda: studio.app.session.latest)
        await studio.press("alt+m")
        await studio.until(lambda: isinstance(studio.app.screen, MaskScreen) and painter(studio).mask)
        await studio.press("enter")
        await studio.shows("nothing is painted yet")
        await studio.press("space", "right", "right", "right", "space", "shift+down")
        await studio.shows("pen up", "▒▒")
        await studio.press("enter")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        submit = await studio.generate()
        assert submit.request.image == record.path
        assert submit.request.mask is not None
        with Image.open(submit.request.mask) as mask:
            assert mask.size == (64, 64)
            assert mask.getpixel((34, 32)) == 255
            assert mask.getpixel((4, 4)) == 0


async def test_a_mask_is_painted_and_erased_by_mouse_and_undone() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await studio.until(lambda: studio.app.session.latest)
        await studio.press("alt+m")
        await studio.until(lambda: isinstance(studio.app.screen, MaskScreen) and painter(studio).mask)
        middle = painter(studio).size.width // 2, painter(studio).size.height // 2
        await studio.pilot.click(MaskPainter, offset=middle)
        await studio.until(lambda: painter(studio).mask.at(0.5, 0.5))  # type: ignore[union-attr]
        await studio.press("i")
        assert not painter(studio).mask.at(0.5, 0.5)  # type: ignore[union-attr]
        await studio.press("u", "e", "space")
        assert painter(studio).mask.empty  # type: ignore[union-attr]
        await studio.shows("eraser down")
        await studio.press("u", "u")
        assert painter(studio).mask.empty  # type: ignore[union-attr]
        await studio.press("escape")
        assert studio.app.session.draft.mask is None


async def test_without_a_picture_there_is_nothing_to_paint_on() -> None:
    async with opened() as studio:
        await studio.press("alt+m")
        await studio.shows("nothing to paint on — there is no picture yet")
