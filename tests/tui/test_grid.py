"""X/Y sheets: from two settings to one picture of many."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from PIL import Image
from textual.widgets import Input

from sdtui.engine.protocol import Cancelled
from sdtui.request import GenerationRequest, RequestError
from sdtui.tui.axes import NOTHING, Axis, crossed, parse_axis
from sdtui.tui.remembered import recall
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.grid import EXAMPLES, Grid
from tests.strategies import text
from tests.tui.fake_engine import FakeEngine, snapshot
from tests.tui.opened import Opened, finished, make_picture, opened, queued

pytestmark = pytest.mark.usefixtures("home")

APPLE = GenerationRequest(prompt="a red apple", seed=7)


# ---- axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "written", "values"),
    [
        ("steps", "10, 20,30", (10, 20, 30)),
        ("steps", "10-30:10", (10, 20, 30)),
        ("steps", "1-3, 9", (1, 2, 3, 9)),
        ("guidance_scale", "4-5:0.5", (4.0, 4.5, 5.0)),
        ("strength", "0.1-0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("scheduler", "euler, ddim", ("euler", "ddim")),
        ("prompt", "red, green, dark blue", ("red", "green", "dark blue")),
    ],
)
def test_an_axis_is_read(setting: str, written: str, values: tuple[object, ...]) -> None:
    assert parse_axis(setting, written, APPLE).values == values


@pytest.mark.parametrize(
    ("setting", "written", "why"),
    [
        ("steps", "", "there is no value"),
        ("steps", "ten", "no number"),
        ("steps", "1.5", "no number"),
        ("steps", "1-9999", "too many"),
        ("steps", "1-5:0", "too many"),
        ("steps", "0, 5", "outside 1"),
        ("scheduler", "euler, magic", "unknown"),
        ("prompt", "pear, plum", "not in it"),
        ("strength", "0.5, 7", "outside 0"),
    ],
)
def test_what_is_no_axis_is_refused(setting: str, written: str, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        parse_axis(setting, written, APPLE)


@given(text)
def test_no_text_is_more_than_an_axis_or_a_refusal(written: str) -> None:
    for setting in ("steps", "guidance_scale", "scheduler", "prompt"):
        try:
            axis = parse_axis(setting, written, APPLE)
        except RequestError:
            continue
        assert crossed(APPLE, axis, NOTHING)


@pytest.mark.parametrize("setting", EXAMPLES)
def test_every_example_is_an_axis(setting: str) -> None:
    assert len(parse_axis(setting, EXAMPLES[setting], APPLE).values) > 1


def test_cells_go_row_by_row() -> None:
    x, y = Axis("steps", (10, 20)), Axis("prompt", ("red", "green"))
    assert crossed(APPLE, x, y) == (
        APPLE.replace(steps=10),
        APPLE.replace(steps=20),
        APPLE.replace(steps=10, prompt="a green apple"),
        APPLE.replace(steps=20, prompt="a green apple"),
    )
    assert crossed(APPLE, NOTHING, NOTHING) == (APPLE,)


# ---- the dialog and the sheet --------------------------------------------------------------------


async def ask_for_sheet(studio: Opened) -> None:
    """Write a prompt, and vary steps and prompt."""
    await studio.type("a red apple")
    await studio.press("f10")
    await studio.until(lambda: isinstance(studio.app.screen, Grid))
    await studio.shows("a red apple", "3 × 3 = 9 pictures")
    studio.app.screen.query_one("#x-values", Input).value = "5, 6"
    await studio.press("down", "down", "right", "right")
    await studio.shows("‹ prompt ›", "2 × 2 = 4 pictures")
    studio.app.screen.query_one("#y-values", Input).value = "red, green"


@pytest.mark.parametrize(("width", "height"), [(160, 48), (80, 24)])
async def test_two_settings_become_one_sheet(width: int, height: int) -> None:
    async with opened(width, height) as studio:
        await ask_for_sheet(studio)
        await studio.press("enter")
        await studio.until(lambda: len(studio.engine.submitted) == 4)
        assert isinstance(studio.app.screen, Create)
        submitted = studio.engine.submitted
        assert [(each.request.guidance_scale, each.request.prompt) for each in submitted] == [
            (5, "a red apple"),
            (6, "a red apple"),
            (5, "a green apple"),
            (6, "a green apple"),
        ]
        assert len({each.request.seed for each in submitted}) == 1, "only what is varied differs"
        for submit, colour in zip(submitted, ("red", "lime", "blue", "yellow"), strict=True):
            record = make_picture(submit.request, colour=colour, job=submit.job)
            studio.engine.say(queued(submit), finished(submit, record))
        await studio.shows("the X/Y sheet is done")
        shown = studio.app.session.shown
        assert shown is not None
        path = Path(shown.path)  # type: ignore[union-attr]
        assert path.name.startswith("sheet-guidance-scale-prompt")
        with Image.open(path) as sheet:
            colours = {colour for _, colour in sheet.getcolors(1 << 16) or []}
        assert {(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)} <= colours
        await studio.until(lambda: recall().sheets == ())


async def test_a_sheet_is_put_together_after_the_window_was_closed() -> None:
    async with opened() as studio:
        await ask_for_sheet(studio)
        await studio.press("enter")
        await studio.until(lambda: len(studio.engine.submitted) == 4)
        first, *others = studio.engine.submitted
        for submit in studio.engine.submitted:
            studio.engine.say(queued(submit))
        for submit in others:
            studio.engine.say(Cancelled(submit.job))
        await studio.until(lambda: len(recall().sheets) == 1)
    make_picture(first.request, job=first.job)
    async with opened(engine=FakeEngine(snapshot())) as studio:
        await studio.shows("the X/Y sheet is done")


async def test_a_sheet_of_which_nothing_was_made_says_so() -> None:
    async with opened() as studio:
        await ask_for_sheet(studio)
        await studio.press("enter")
        await studio.until(lambda: len(studio.engine.submitted) == 4)
        for submit in studio.engine.submitted:
            studio.engine.say(queued(submit), Cancelled(submit.job))
        await studio.shows("there is no X/Y sheet — none of its pictures was made")


async def test_a_wrong_value_is_said_and_nothing_is_made() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f10")
        await studio.until(lambda: isinstance(studio.app.screen, Grid))
        studio.app.screen.query_one("#x-values", Input).value = "7, many"
        await studio.shows("✗ guidance scale is not valid — 'many' is no number or range")
        await studio.press("enter")
        await studio.press("escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert not studio.engine.submitted


async def test_without_a_prompt_there_is_no_sheet() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await studio.press("f10")
        await studio.shows("prompt is not valid — it is empty")


async def test_a_recent_picture_is_varied_by_one_key() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await studio.press("f8", "x")
        await studio.until(lambda: isinstance(studio.app.screen, Grid))
        await studio.press("enter")
        await studio.until(lambda: len(studio.engine.submitted) == 9)
        assert {each.request.prompt for each in studio.engine.submitted} == {"a red apple"}
        assert {each.request.seed for each in studio.engine.submitted} == {7, 8, 9}
