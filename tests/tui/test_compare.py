"""Two pictures side by side."""

from __future__ import annotations

import pytest

from sdtui.request import GenerationRequest
from sdtui.tui.request_rows import differences
from sdtui.tui.screens.compare import Compare
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.gallery import Gallery
from sdtui.tui.session import Picture
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.picture_grid import PictureGrid
from tests.tui.opened import Opened, make_picture, opened

pytestmark = pytest.mark.usefixtures("home")

APPLE = GenerationRequest(prompt="a red apple", seed=7, steps=11)
PEAR = GenerationRequest(prompt="a green pear", seed=7, steps=30, scheduler="euler")


def colour(studio: Opened, side: int) -> object:
    """The first pixel of one side's picture."""
    image = studio.app.screen.query_one(f"#picture-{side}", Canvas).image
    return image and image.getpixel((0, 0))


@pytest.mark.parametrize(("width", "height"), [(160, 48), (80, 24)])
async def test_the_last_two_pictures_are_compared_and_one_is_taken(width: int, height: int) -> None:
    make_picture(APPLE)
    make_picture(PEAR, colour="blue")
    async with opened(width, height) as studio:
        await studio.press("f3")
        await studio.until(lambda: isinstance(studio.app.screen, Compare))
        await studio.shows("PICTURE 1", "▸ PICTURE 2", "a red apple", "a green pear")
        await studio.shows("steps           11                       30", "euler")
        assert "seed" not in studio.text, "that is the same"
        await studio.until(lambda: (colour(studio, 0), colour(studio, 1)) == ((255, 0, 0), (0, 0, 255)))
        await studio.press("left", "space")
        await studio.until(lambda: "PICTURE 2" not in studio.text)
        await studio.press("right")
        await studio.until(lambda: "PICTURE 1" not in studio.text)
        await studio.press("left", "enter")
        await studio.until(lambda: studio.app.session.draft.prompt == "a red apple")
        assert studio.app.session.draft.steps == 11
        assert isinstance(studio.app.screen, Create)


async def test_two_pictures_are_marked_in_the_gallery_and_escape_comes_back_to_it() -> None:
    for request in (APPLE, PEAR, APPLE.replace(seed=8)):
        make_picture(request)
    async with opened() as studio:
        await studio.press("f2")
        await studio.until(lambda: isinstance(studio.app.screen, Gallery))
        await studio.until(lambda: studio.app.screen.query_one(PictureGrid).current)
        await studio.press("equals_sign")
        await studio.shows("▸= a red apple")
        await studio.press("end", "equals_sign")
        await studio.until(lambda: isinstance(studio.app.screen, Compare))
        await studio.shows("PICTURE 3", "PICTURE 1", "the same prompts", "seed            8")
        await studio.press("escape")
        assert isinstance(studio.app.screen, Gallery)
        await studio.press("equals_sign")
        await studio.until(lambda: isinstance(studio.app.screen, Compare))
        await studio.press("enter")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert studio.app.session.draft.seed == 7


async def test_a_mark_in_the_recent_pictures_is_taken_back_by_the_same_key() -> None:
    make_picture(APPLE)
    make_picture(PEAR)
    async with opened() as studio:
        await studio.press("f8", "equals_sign")
        await studio.until(lambda: studio.app.session.marked)
        await studio.shows("━ = ━")
        await studio.press("equals_sign")
        await studio.until(lambda: studio.app.session.marked is None)
        await studio.press("equals_sign", "right", "equals_sign")
        await studio.until(lambda: isinstance(studio.app.screen, Compare))


async def test_with_one_picture_there_is_nothing_to_compare() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await studio.press("f3")
        await studio.shows("nothing to compare — there are no two pictures yet")


def test_what_differs_is_told_in_words() -> None:
    one = Picture(1, "a.png", 64, 64, APPLE, "starter")
    other = Picture(2, "b.png", 128, 64, APPLE.replace(tiled=True, image="/x/source.png"), "sdxl")
    assert differences(one, one) == []
    assert differences(one, other) == [
        ("model", "starter", "sdxl"),
        ("size", "64 × 64", "128 × 64"),
        ("source", "–", "source.png"),
        ("tiled", "off", "on"),
    ]
