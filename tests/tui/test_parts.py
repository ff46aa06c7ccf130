"""The parts of the screen one by one: request panel, recent pictures, recall, help, palette, jump."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.widgets import Input, Static

import sdtui.tui
from sdtui.request import GenerationRequest
from sdtui.settings import Settings, load_settings, places, save_settings
from sdtui.tui.commands import COMMANDS
from sdtui.tui.palette import entries
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.help import Help
from sdtui.tui.screens.jump import Jump
from sdtui.tui.screens.recall import Recall
from sdtui.tui.theme import THEME
from sdtui.tui.widgets.prompt_editor import PromptEditor
from sdtui.tui.widgets.request_panel import RequestPanel
from tests.tui.opened import Opened, finished, make_picture, opened

pytestmark = pytest.mark.usefixtures("home")

APPLE = GenerationRequest(prompt="red apple", seed=7, steps=11, negative_prompt="blurry")
PEAR = GenerationRequest(prompt="green pear", seed=8, steps=12)


def prompt(studio: Opened) -> PromptEditor:
    """The prompt editor."""
    return studio.app.create.query_one("#prompt", PromptEditor)


def underlined(studio: Opened) -> str:
    """The letters of the prompt that are underlined."""
    line = prompt(studio).get_line(0)
    return " ".join(
        line.plain[span.start : span.end] for span in line.spans if "underline" in str(span.style)
    )


# ---- the request panel ---------------------------------------------------------------------------


async def test_the_request_is_changed_from_the_keyboard() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f4")
        await studio.press("right", "right")
        await studio.shows("‹ 22 ›")
        await studio.press("down", "left")
        await studio.shows("‹ 7.0 ›")
        await studio.press("down")
        await studio.type("1234")
        await studio.press("enter")
        await studio.press("down", "right", "down")
        await studio.type("2")
        await studio.press("escape")
        submit = await studio.generate()
        request = submit.request
        assert (request.steps, request.guidance_scale, request.seed) == (22, 7.0, 1234)
        assert request.scheduler == "dpm++2m-karras"
        assert len(studio.engine.submitted) == 2
        assert request.prompt == "pear"


async def test_what_is_being_typed_counts_without_enter() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f4")
        await studio.type("33")
        submit = await studio.generate()
        assert submit.request.steps == 33


async def test_a_value_that_is_none_is_refused_in_one_line() -> None:
    async with opened() as studio:
        await studio.press("f4")
        await studio.type("9x")
        await studio.press("enter")
        await studio.shows("steps is not valid — '9x' is no number — type digits")
        assert studio.app.session.draft.steps == 20


async def test_space_locks_the_seed_and_unlocks_it() -> None:
    async with opened() as studio:
        await studio.press("f4", "space")
        await studio.shows("locked")
        await studio.press("space")
        await studio.shows("random")


async def test_what_differs_from_the_picture_is_underlined() -> None:
    async with opened() as studio:
        submit = await studio.generate("red apple")
        studio.engine.say(finished(submit, make_picture(submit.request)))
        await studio.shows("done in")
        assert underlined(studio) == ""
        await studio.type(" pie")
        await studio.until(lambda: underlined(studio) == "pie")
        await studio.press("f4", "right", "escape")
        content = studio.app.create.query_one(RequestPanel).render()
        marked = [content.plain[span.start : span.end] for span in content.spans if span.style == "underline"]
        assert marked == ["21"]


# ---- recent pictures ------------------------------------------------------------------------------


async def test_a_recent_picture_is_shown_with_its_request_and_enter_takes_it() -> None:
    make_picture(APPLE)
    make_picture(PEAR, colour="green")
    async with opened() as studio:
        await studio.type("half a tho")
        await studio.press("f8")
        await studio.shows("PICTURE 2", "green pear")
        await studio.press("right")
        await studio.shows("PICTURE 1", "red apple", "enter takes it")
        assert prompt(studio).text == "half a tho"
        await studio.press("enter")
        await studio.until(lambda: prompt(studio).text == "red apple")
        assert studio.app.focused is prompt(studio)
        submit = await studio.generate()
        assert submit.request == APPLE
        await studio.press("up", "up")
        await studio.until(lambda: prompt(studio).text == "half a tho")


async def test_escape_leaves_the_recent_pictures_without_taking() -> None:
    make_picture(APPLE)
    async with opened(80, 24) as studio:
        await studio.type("mine")
        await studio.press("f8")
        await studio.shows("PICTURE 1")
        await studio.press("escape")
        await studio.until(lambda: "PICTURE 1" not in studio.text)
        assert prompt(studio).text == "mine"


async def test_a_picture_whose_file_is_gone_is_said_once_and_can_still_be_taken() -> None:
    record = make_picture(APPLE)
    Path(record.path).unlink()
    async with opened() as studio:
        await studio.shows("picture 1 cannot be shown — its file is gone")
        await studio.press("f8", "enter")
        await studio.until(lambda: prompt(studio).text == "red apple")


# ---- recall ---------------------------------------------------------------------------------------


async def test_recall_finds_an_earlier_prompt_and_takes_its_request() -> None:
    make_picture(APPLE)
    make_picture(APPLE.replace(seed=9))
    make_picture(PEAR)
    async with opened() as studio:
        await studio.type("mine")
        await studio.press("ctrl+r")
        await studio.until(lambda: isinstance(studio.app.screen, Recall))
        await studio.shows("green pear", "red apple")
        assert studio.text.count("red apple") == 1, "each prompt once"
        await studio.type("app")
        await studio.until(lambda: "green pear" not in studio.text)
        await studio.press("enter")
        await studio.until(lambda: prompt(studio).text == "red apple")
        draft = studio.app.session.draft
        assert (draft.seed, draft.steps, draft.negative_prompt) == (9, 11, "blurry")


async def test_recall_moves_with_the_arrows_and_escape_takes_nothing() -> None:
    make_picture(APPLE)
    make_picture(PEAR)
    async with opened(80, 24) as studio:
        await studio.type("mine")
        await studio.press("ctrl+r")
        await studio.shows("red apple")
        await studio.type("nothing like it")
        await studio.shows("nothing found")
        await studio.press("enter")
        assert isinstance(studio.app.screen, Recall)
        studio.app.screen.query_one(Input).clear()
        await studio.shows("red apple")
        await studio.press("escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert prompt(studio).text == "mine"
        await studio.press("ctrl+r")
        await studio.shows("red apple")
        await studio.press("down", "enter")
        await studio.until(lambda: prompt(studio).text == "red apple")


# ---- help, palette, jump --------------------------------------------------------------------------


async def test_help_lists_every_bound_command_with_its_real_keys() -> None:
    save_settings(Settings(keymap={"recall": "f11"}))
    async with opened(160, 60) as studio:
        await studio.press("f1")
        await studio.until(lambda: isinstance(studio.app.screen, Help))
        text = str(studio.app.screen.query_one("#keys", Static).render())
        for command in COMMANDS:
            if command.keys:
                assert command.meaning in text
        recall = next(line for line in text.splitlines() if "Find an earlier prompt" in line)
        assert "f11" in recall
        assert "^r" not in recall
        await studio.press("escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))


async def test_the_key_line_follows_the_keymap() -> None:
    save_settings(Settings(keymap={"recall": "f11"}))
    async with opened() as studio:
        await studio.shows("f11 recall")
        assert "^r" not in studio.text


def test_the_accent_is_yellow_and_loss_is_red_in_sixteen_colours() -> None:
    assert Color.parse(THEME.accent or "").downgrade(ColorSystem.STANDARD).number == 11
    assert Color.parse(THEME.error or "").downgrade(ColorSystem.STANDARD).number == 9


def test_every_binding_has_an_id_and_no_key_is_bound_twice() -> None:
    assert all(command.id for command in COMMANDS)
    keys = [key for command in COMMANDS for key in command.keys.split(",") if key]
    assert len(keys) == len(set(keys))
    fixed = {command.id: command.keys for command in COMMANDS if command.fixed}
    assert fixed == {
        "generate": "ctrl+g,ctrl+j,alt+enter,f5",
        "stop": "ctrl+t",
        "palette": "ctrl+p",
        "help": "f1",
        "close": "escape",
        "quit": "ctrl+q",
    }


async def test_the_palette_offers_every_command_and_runs_it() -> None:
    async with opened() as studio:
        titles = {entry.title for entry in entries(studio.app)}
        assert {c.title for c in COMMANDS} - titles == {"all commands", "stop", "try again"}
        assert {"scheduler: euler", "theme: nord"} <= titles
        await studio.press("ctrl+p")
        await studio.type("scheduler: euler-a")
        await studio.shows("scheduler: euler-a")
        await studio.press("enter")
        await studio.until(lambda: studio.app.session.draft.scheduler == "euler-a")


async def test_a_theme_is_kept_for_the_next_start() -> None:
    async with opened() as studio:
        await studio.app.run_action("use_theme('nord')")
        await studio.until(lambda: load_settings().theme == "nord")
    async with opened() as studio:
        assert studio.app.theme == "nord"


@pytest.mark.parametrize("theme", ["nord", "textual-light", "ansi-dark", "dracula"])
async def test_every_part_is_drawn_in_other_themes(theme: str) -> None:
    make_picture(APPLE)
    save_settings(Settings(theme=theme))
    async with opened() as studio:
        await studio.press("f8")
        await studio.shows("PICTURE 1", "engine ● warm")
        studio.app.export_screenshot()
        await studio.press("f1")
        await studio.shows("Everywhere")


async def test_every_theme_has_the_colours_that_we_use() -> None:
    folder = Path(sdtui.tui.__file__).parent
    sources = [file.read_text() for kind in ("*.tcss", "*.py") for file in folder.rglob(kind)]
    used = {name for source in sources for name in re.findall(r"\$([a-z][a-z-]+)", source)}
    async with opened() as studio:
        for theme in studio.app.available_themes:
            studio.app.theme = theme
            assert used <= set(studio.app.get_css_variables()), theme


async def test_a_theme_that_does_not_exist_is_ours() -> None:
    save_settings(Settings(theme="no such theme"))
    async with opened() as studio:
        assert studio.app.theme == "sdtui"


async def test_broken_settings_are_one_line_and_the_studio_opens() -> None:
    places().settings_file.parent.mkdir(parents=True)
    places().settings_file.write_text("steps = 'many'\n")
    async with opened() as studio:
        await studio.shows("settings.toml cannot be used")


@pytest.mark.parametrize(("width", "height"), [(160, 48), (80, 24)])
async def test_jump_goes_anywhere_by_its_letter(width: int, height: int) -> None:
    async with opened(width, height) as studio:
        await studio.press("ctrl+o")
        await studio.until(lambda: isinstance(studio.app.screen, Jump))
        await studio.press("n")
        await studio.until(lambda: studio.app.focused is not None and studio.app.focused.id == "negative")
        await studio.press("ctrl+o", "r")
        await studio.until(lambda: isinstance(studio.app.focused, RequestPanel))
        await studio.press("ctrl+o", "escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert isinstance(studio.app.focused, RequestPanel)


async def test_the_keys_that_never_move_work_under_a_modal_too() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f1")
        await studio.until(lambda: isinstance(studio.app.screen, Help))
        await studio.press("ctrl+g")
        await studio.until(lambda: studio.engine.submitted)
        await studio.press("ctrl+q")
        await studio.until(lambda: not studio.app.is_running)
