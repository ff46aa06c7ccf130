"""The gallery, on a real history."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image
from textual.widgets import Input

from sdtui.engine.protocol import Submit
from sdtui.history import History, Origin
from sdtui.request import GenerationRequest
from sdtui.settings import places
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.gallery import Gallery
from sdtui.tui.thumbnails import thumbnail
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.picture_grid import PictureGrid
from sdtui.tui.widgets.prompt_editor import PromptEditor
from tests.tui.opened import Opened, finished, make_picture, opened

pytestmark = pytest.mark.usefixtures("home")

APPLE = GenerationRequest(prompt="red apple", seed=7, steps=11, negative_prompt="blurry")
PEAR = GenerationRequest(prompt="green pear", seed=8, steps=12)
PLUM = GenerationRequest(prompt="blue plum", seed=9, steps=13)
SIZES = [(160, 48), (80, 24)]


def grid(studio: Opened) -> PictureGrid:
    """The grid of the gallery on the screen."""
    return studio.app.screen.query_one(PictureGrid)


async def open_gallery(studio: Opened, count: int) -> None:
    """Open it with its key, and wait until it lists so many pictures."""
    await studio.press("f2")
    await studio.until(lambda: isinstance(studio.app.screen, Gallery))
    await studio.until(lambda: len(grid(studio).identities) == count and (not count or grid(studio).current))


def current(studio: Opened) -> str:
    """The prompt of the current picture."""
    picture = grid(studio).current
    return picture.request.prompt if picture else ""


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_picture_is_looked_at_and_its_request_taken(width: int, height: int) -> None:
    make_picture(APPLE)
    make_picture(PEAR, colour="green")
    async with opened(width, height) as studio:
        await studio.type("half a tho")
        await open_gallery(studio, 2)
        await studio.shows("GALLERY", "1 of 2", "newest first", "▸ green pear")
        await studio.press("right", "space")
        await studio.shows("PICTURE 1", "not: blurry", "steps        11", "seed         7")
        image = studio.app.screen.query_one(Canvas)
        await studio.until(lambda: image.image is not None and image.image.getpixel((0, 0)) == (255, 0, 0))
        await studio.press("escape")
        assert isinstance(studio.app.screen, Gallery)
        await studio.press("enter")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        await studio.until(lambda: studio.app.session.draft.prompt == "red apple")
        assert studio.app.session.draft.steps == 11
        await studio.press("up")
        await studio.until(lambda: studio.app.create.query_one("#prompt", PromptEditor).text == "half a tho")


async def test_words_find_pictures_and_escape_goes_back_step_by_step() -> None:
    make_picture(APPLE)
    make_picture(PEAR)
    async with opened() as studio:
        await studio.type("mine")
        await open_gallery(studio, 2)
        await studio.press("slash")
        await studio.type("app")
        await studio.until(lambda: len(grid(studio).identities) == 1)
        await studio.press("enter")
        assert current(studio) == "red apple"
        assert studio.app.focused is grid(studio)
        await studio.press("slash")
        await studio.type("no such thing")
        await studio.shows("nothing found")
        await studio.press("escape")
        await studio.until(lambda: len(grid(studio).identities) == 2)
        assert not studio.app.screen.query_one(Input).display
        await studio.press("escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert studio.app.session.draft.prompt == "mine"


async def test_favourites_are_kept_apart_and_remembered() -> None:
    make_picture(APPLE)
    make_picture(PEAR)
    async with opened() as studio:
        await open_gallery(studio, 2)
        await studio.press("right", "f")
        await studio.shows("▸♥ red apple")
        await studio.press("v")
        await studio.until(lambda: grid(studio).identities == (1,))
        await studio.shows("♥ only")
        await studio.press("f", "v")
        await studio.until(lambda: len(grid(studio).identities) == 2)
        await studio.press("f")
        await studio.until(lambda: "♥" in studio.text)
        await studio.press("escape")
    async with opened() as studio:
        await open_gallery(studio, 2)
        await studio.shows("♥ red apple")


async def test_sorting_goes_round() -> None:
    for request in (PEAR, APPLE, PLUM):
        make_picture(request)
    async with opened() as studio:
        await open_gallery(studio, 3)
        assert grid(studio).identities == (3, 2, 1)
        await studio.press("s")
        await studio.until(lambda: grid(studio).identities == (1, 2, 3))
        await studio.press("s")
        await studio.until(lambda: grid(studio).identities == (3, 1, 2))
        await studio.shows("by prompt")
        assert current(studio) == "blue plum", "the current picture stays the current one"


async def test_what_is_deleted_comes_back() -> None:
    record = make_picture(APPLE)
    make_picture(PEAR)
    async with opened() as studio:
        await open_gallery(studio, 2)
        await studio.press("right", "delete")
        await studio.until(lambda: not Path(record.path).exists())
        await studio.shows("1 of 1", "u takes back 1")
        await studio.press("escape")
        await studio.until(lambda: [each.id for each in studio.app.session.recent] == [2])
    assert [file.name for file in places().trash.iterdir()] == [f"1-{Path(record.path).name}"]
    async with opened() as studio:
        await open_gallery(studio, 1)
        await studio.press("delete")
        await studio.shows("no picture yet")
        await studio.press("u")
        await studio.until(lambda: current(studio) == "green pear")


async def test_a_picture_finished_meanwhile_appears() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await open_gallery(studio, 1)
        studio.engine.say(finished(Submit("a", PEAR), make_picture(PEAR)))
        await studio.until(lambda: len(grid(studio).identities) == 2)
        assert current(studio) == "red apple"


async def test_a_picture_whose_file_is_gone_is_said_and_can_be_taken() -> None:
    Path(make_picture(APPLE).path).unlink()
    async with opened() as studio:
        await open_gallery(studio, 1)
        await studio.shows("picture 1 cannot be shown — its file is gone")
        await studio.press("enter")
        await studio.until(lambda: studio.app.session.draft.prompt == "red apple")


async def test_an_empty_gallery_says_what_to_do() -> None:
    async with opened(80, 24) as studio:
        await open_gallery(studio, 0)
        await studio.shows("no picture yet: escape, and ctrl+g makes one")
        await studio.press("enter", "delete", "f", "space", "escape", "escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))


async def test_ten_thousand_pictures_open_at_once_and_the_last_is_one_key_away() -> None:
    many(10_000)
    async with opened() as studio:
        took = []
        for _ in range(3):
            start = time.perf_counter()
            await studio.press("f2")
            while not (isinstance(studio.app.screen, Gallery) and grid(studio).current):
                await studio.pilot.pause()
            took.append(time.perf_counter() - start)
            await studio.press("end")
            await studio.until(lambda: grid(studio).current and grid(studio).current.id == 1)  # type: ignore[union-attr]
            await studio.shows("10000 of 10000", "number 0")
            await studio.press("escape")
            await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert min(took) < 0.5, f"{took}: 0.1 s on a quiet machine"


def many(count: int) -> None:
    """A history of so many pictures, all of one file."""
    file = Path(make_picture(APPLE).path)
    with History(places().history_file) as history:
        history._connection.execute("PRAGMA synchronous = OFF")
        history._connection.execute("DELETE FROM picture")
        history._connection.execute("DELETE FROM sqlite_sequence")
        history._connection.execute("DELETE FROM picture_text")
        for index in range(count):
            origin = Origin(
                request=APPLE.replace(prompt=f"number {index}"),
                model="starter",
                model_hash="0",
                runtime="portable",
                version="0",
            )
            history.add(path=file, origin=origin, size=(64, 64), seconds={}, peak_memory_bytes=1)


def test_a_thumbnail_is_made_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    Image.new("RGB", (640, 320), "red").save(file)
    assert thumbnail(file).size == (160, 80)
    (kept,) = places().thumbnails.iterdir()
    Image.new("RGB", (160, 80), "blue").save(kept)
    assert thumbnail(file).getpixel((5, 5))[2] > 200  # type: ignore[index]
    Image.new("RGB", (640, 640), "green").save(file)
    assert thumbnail(file).size == (160, 160)


def test_a_cache_that_cannot_be_written_costs_no_thumbnail(tmp_path: Path) -> None:
    places().cache.mkdir(parents=True)
    places().thumbnails.write_text("in the way")
    Image.new("RGB", (640, 320), "red").save(tmp_path / "picture.png")
    assert thumbnail(tmp_path / "picture.png").size == (160, 80)
