"""A monkey at the keyboard: whatever it presses, nothing breaks and no prompt is lost."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from textual import events

from sdtui.engine import converter
from sdtui.request import GenerationRequest
from sdtui.tui.commands import COMMANDS
from sdtui.tui.key_catalogue import PARTS, in_force
from sdtui.tui.openings import OPENINGS
from sdtui.tui.screens.create import Create
from sdtui.tui.widgets.prompt_editor import PromptEditor
from tests.on_terminal import ROOT
from tests.tui.opened import Opened, finished, make_picture, opened, progress, queued

PROMPT = "the very first prompt"
KEYS = (
    *(key for command in COMMANDS if command.id != "quit" for key in command.keys.split(",") if key),
    *("up", "down", "left", "right", "home", "end", "tab", "shift+tab"),
    *("enter", "enter", "escape", "escape", "space", "delete", "backspace", "ctrl+z", "ctrl+u"),
    *("slash", "equals_sign", "plus_sign", "a", "c", "e", "f", "i", "s", "u", "v", "x", "1", "7"),
)
OF_PARTS = tuple(
    key for part in PARTS.values() for each in in_force(part, {}).values() for key in each.key.split(",")
)
SIZES = [(160, 48), (80, 24), (50, 14), (120, 40), (30, 8)]
AT_ONCE = 10
"""Keys that arrive together."""


@pytest.fixture(autouse=True)
def with_stand_in(home: object, monkeypatch: pytest.MonkeyPatch) -> object:
    """A home with some pictures, and a converter that converts nothing."""
    monkeypatch.setattr(converter, "MODULE", "tests.stand_in_converter")
    monkeypatch.setenv("PYTHONPATH", ROOT)
    for index in range(5):
        make_picture(GenerationRequest(prompt=f"picture {index}", seed=index))
    return home


async def test_whatever_is_pressed_nothing_breaks_and_no_prompt_is_lost() -> None:
    async with opened(160, 48) as studio:
        await studio.generate(PROMPT)
        await rampage(studio, random.Random(2), KEYS, 240, set())
        await is_well(studio)


@pytest.mark.slow
@pytest.mark.parametrize("screen", ["create", *OPENINGS])
async def test_a_thousand_keys_on_every_screen(screen: str) -> None:
    monkey = random.Random(f"sdtui {screen}")
    async with opened(160, 48) as studio:
        await studio.generate(PROMPT)
        done: set[str] = set()
        for _ in range(1000 // AT_ONCE):
            if screen != "create" and studio.app.screen is studio.app.create:
                await studio.app.run_action(f"screen('{screen}')")
                await studio.pilot.pause()
            await rampage(studio, monkey, KEYS + OF_PARTS, AT_ONCE, done)
        await is_well(studio)


async def test_two_enters_close_the_palette_once() -> None:
    async with opened() as studio:
        await studio.press("ctrl+p")
        await studio.shows("Make the picture")
        for key in ("down", "enter", "enter"):
            studio.app.post_message(events.Key(key, None))
        await studio.until(lambda: studio.app.screen is studio.app.create)
        assert studio.app.is_running


async def rampage(
    studio: Opened, monkey: random.Random, keys: Sequence[str], count: int, done: set[str]
) -> None:
    """Press so many keys, now and then resize the window, and let pictures be finished meanwhile."""
    for index in range(count):
        key = monkey.choice(keys)
        studio.app.post_message(events.Key(key, {"space": " "}.get(key, key if len(key) == 1 else None)))
        if index % AT_ONCE == AT_ONCE - 1:
            await studio.pilot.pause()
            if monkey.random() < 0.125:
                await studio.pilot.resize_terminal(*monkey.choice(SIZES))
                finish_one(studio, done)


def finish_one(studio: Opened, done: set[str]) -> None:
    """Let the newest picture be finished, unless it is among those ``done``."""
    submit = studio.engine.submitted[-1]
    if submit.job not in done:
        done.add(submit.job)
        studio.engine.say(queued(submit), progress(submit.job, 3))
        studio.engine.say(finished(submit, make_picture(submit.request, job=submit.job)))


async def is_well(studio: Opened) -> None:
    """The studio runs, escape leads back to the prompt, and the first prompt is still to be found."""
    assert studio.app.is_running
    while not isinstance(studio.app.screen, Create):
        await studio.press("escape")
    await studio.press("escape")
    session = studio.app.session
    editor = studio.app.create.query_one("#prompt", PromptEditor)
    await studio.until(lambda: session.draft.prompt == editor.text)
    assert any(PROMPT in each for each in (editor.text, *session.walk.earlier))
    await studio.press("ctrl+u")
    await studio.type("alive")
    await studio.until(lambda: "alive" in editor.text)
