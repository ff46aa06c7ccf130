"""The settings, the log, and a model's details."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from sdtui.settings import Settings, load_settings, places, save_settings
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.log import TAIL_BYTES, Log, tail
from sdtui.tui.screens.model_details import ModelDetails
from sdtui.tui.screens.settings import SettingsScreen, rows
from sdtui.tui.widgets.choice import Choice
from tests.tui.opened import Opened, opened

pytestmark = pytest.mark.usefixtures("home")


async def open_settings(studio: Opened) -> None:
    await studio.press("f12")
    await studio.until(lambda: isinstance(studio.app.screen, SettingsScreen))


def test_every_setting_has_a_row_that_says_what_it_is_about() -> None:
    assert {row.name for row in rows()} == set(Settings.__struct_fields__) - {"keymap"}
    assert all(row.about for row in rows())


@pytest.mark.parametrize(("width", "height"), [(160, 48), (80, 24)])
async def test_settings_are_changed_and_written(width: int, height: int) -> None:
    save_settings(Settings(keymap={"recall": "f11"}, model="tiny"))
    async with opened(width, height) as studio:
        await open_settings(studio)
        await studio.shows("SETTINGS", "guidance scale", "own keys: recall f11")
        screen = studio.app.screen
        screen.query_one("#steps", Input).value = "33"
        screen.query_one("#model", Input).value = ""
        screen.query_one("#theme", Input).value = "nord"
        screen.query_one("#scheduler", Choice).value = "euler"
        await studio.press("ctrl+s")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        assert studio.app.theme == "nord"
    assert load_settings() == Settings(
        keymap={"recall": "f11"}, steps=33, theme="nord", scheduler="euler", model=None
    )


async def test_a_value_that_is_none_is_said_and_nothing_is_written() -> None:
    async with opened() as studio:
        await open_settings(studio)
        for field, value in (("steps", "many"), ("steps", "0"), ("unload_minutes", "-3")):
            studio.app.screen.query_one(f"#{field}", Input).value = value
            await studio.shows("✗")
            await studio.press("ctrl+s")
            await studio.pilot.pause()
            assert isinstance(studio.app.screen, SettingsScreen)
            studio.app.screen.query_one(f"#{field}", Input).value = "5"
            await studio.until(lambda: "✗" not in studio.text)
        await studio.press("escape")
    assert not places().settings_file.exists()


async def test_settings_that_cannot_be_read_are_not_written_over() -> None:
    places().config.mkdir(parents=True)
    places().settings_file.write_text("steps = ")
    async with opened() as studio:
        await studio.press("f12")
        await studio.shows("settings.toml cannot be read")
        assert isinstance(studio.app.screen, Create)
    assert places().settings_file.read_text() == "steps = "


async def test_the_log_shows_its_end_and_what_is_added() -> None:
    async with opened(80, 24) as studio:
        await studio.app.run_action("screen('log')")
        await studio.until(lambda: isinstance(studio.app.screen, Log))
        await studio.shows("nothing has been written yet")
        places().state.mkdir(parents=True, exist_ok=True)
        places().log.write_text("".join(f"line {number}\n" for number in range(200)))
        await studio.shows("line 199")
        await studio.press("home")
        await studio.shows("line 0")
        await studio.press("escape")
        assert isinstance(studio.app.screen, Create)


def test_a_long_log_is_read_from_a_whole_line_and_drawn_without_control_characters(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_text("x" * 100 + "\n" + "\x1b[31mred\n" * TAIL_BYTES)
    size, text = tail(file)
    assert size == file.stat().st_size
    assert set(text.splitlines()) == {"·[31mred"}
    assert tail(tmp_path / "none") == (0, "")


async def test_a_models_details_are_one_key_from_the_library() -> None:
    async with opened() as studio:
        await studio.shows("Starter")
        await studio.press("ctrl+l", "i")
        await studio.until(lambda: isinstance(studio.app.screen, ModelDetails))
        await studio.shows("family           sd", "64 × 64", "unet")
        assert "sha" not in str(studio.app.screen.query_one("#facts", Static).render())
        await studio.press("escape")
        assert isinstance(studio.app.screen, Create)


async def test_a_model_that_is_not_there_says_so() -> None:
    save_settings(Settings(model="nothing-of-that-name"))
    async with opened() as studio:
        await studio.app.run_action("screen('model')")
        await studio.shows("✗", "nothing-of-that-name")
