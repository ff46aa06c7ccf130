"""A monkey at the keyboard: whatever it presses, nothing breaks and no prompt is lost."""

from __future__ import annotations

import random

import pytest
from textual import events

from sdtui.request import GenerationRequest
from sdtui.tui.commands import COMMANDS
from sdtui.tui.screens.create import Create
from sdtui.tui.widgets.prompt_editor import PromptEditor
from tests.tui.opened import finished, make_picture, opened, progress, queued

pytestmark = pytest.mark.usefixtures("home")

KEYS = (
    *(key for command in COMMANDS if command.id != "quit" for key in command.keys.split(",") if key),
    *("up", "down", "left", "right", "home", "end", "tab", "shift+tab"),
    *("enter", "enter", "escape", "escape", "space", "delete", "backspace", "ctrl+z", "ctrl+u"),
    *("slash", "equals_sign", "plus_sign", "a", "c", "e", "f", "i", "s", "u", "v", "x", "1", "7"),
)
SIZES = [(160, 48), (80, 24), (50, 14), (120, 40), (30, 8)]
PRESSED = 240


@pytest.mark.parametrize("seed", [2])
async def test_whatever_is_pressed_nothing_breaks_and_no_prompt_is_lost(seed: int) -> None:
    monkey = random.Random(seed)
    for index in range(5):
        make_picture(GenerationRequest(prompt=f"picture {index}", seed=index))
    async with opened(160, 48) as studio:
        await studio.generate("the very first prompt")
        for index in range(PRESSED):
            key = monkey.choice(KEYS)
            studio.app.post_message(events.Key(key, {"space": " "}.get(key, key if len(key) == 1 else None)))
            if index % 10 == 9:
                await studio.pilot.pause()
            if index % 80 == 79:
                await studio.pilot.resize_terminal(*monkey.choice(SIZES))
                submit = studio.engine.submitted[-1]
                studio.engine.say(queued(submit), progress(submit.job, 3))
                studio.engine.say(finished(submit, make_picture(submit.request, job=submit.job)))
        assert studio.app.is_running
        while not isinstance(studio.app.screen, Create):
            await studio.press("escape")
        await studio.press("escape")
        session = studio.app.session
        written = studio.app.create.query_one("#prompt", PromptEditor).text
        await studio.until(lambda: session.draft.prompt == written)
        assert any("the very first prompt" in each for each in (written, *session.walk.earlier))
