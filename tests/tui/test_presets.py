"""Presets, and taking changes of the settings back."""

from __future__ import annotations

import pytest
from hypothesis import given

from sdtui.request import GenerationRequest
from sdtui.settings import places
from sdtui.tui.draft import Draft, draft_of
from sdtui.tui.presets import CONTENT, PresetError, load_presets, preset_of, save_presets, with_preset
from sdtui.tui.screens.create import Create
from sdtui.tui.screens.presets import Presets
from sdtui.tui.settings_undo import SettingsUndo
from tests.strategies import requests
from tests.tui.opened import opened

pytestmark = pytest.mark.usefixtures("home")


# ---- presets -------------------------------------------------------------------------------------


@given(requests)
def test_a_preset_brings_back_every_setting_and_leaves_the_picture_alone(request: GenerationRequest) -> None:
    draft = draft_of(request)
    other = Draft(prompt="mine", negative_prompt="not", seed=5, count=3, steps=99)
    got = with_preset(other, preset_of(draft))
    for name in Draft.__struct_fields__:
        expected = other if name in CONTENT or name == "seed_locked" else draft
        assert getattr(got, name) == getattr(expected, name)


def test_presets_are_kept_in_a_file_that_people_can_read() -> None:
    assert load_presets() == {}
    presets = {
        "quick": preset_of(Draft(steps=8, scheduler="euler")),
        "ø fine": preset_of(Draft(steps=50, tiled=True)),
    }
    save_presets(presets)
    assert load_presets() == presets
    assert '[quick]\nsteps = 8\nscheduler = "euler"\n' in places().presets_file.read_text()


@pytest.mark.parametrize("broken", ["[quick", "[quick]\nsteps = 0\n", "[quick]\nmagic = 1\n", "quick = 3\n"])
def test_a_broken_file_is_told_and_left_alone(broken: str) -> None:
    places().config.mkdir(parents=True)
    places().presets_file.write_text(broken)
    with pytest.raises(PresetError, match=r"presets\.toml"):
        load_presets()
    assert places().presets_file.read_text() == broken


async def test_settings_are_kept_under_a_name_and_used_again() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f4")
        await studio.type("33")
        await studio.press("enter", "ctrl+s")
        await studio.until(lambda: isinstance(studio.app.screen, Presets))
        await studio.shows("no preset yet", "now: steps 33")
        await studio.type("fine")
        await studio.press("ctrl+s")
        await studio.until(lambda: load_presets() == {"fine": {"steps": 33}})
        await studio.press("escape")
        await studio.press("f4", "right")
        await studio.until(lambda: studio.app.session.draft.steps == 34)
        await studio.press("ctrl+s")
        await studio.shows("fine")
        await studio.press("enter")
        await studio.until(lambda: studio.app.session.draft.steps == 33)
        assert studio.app.session.draft.prompt == "pear"
        await studio.app.run_action("undo_settings")
        await studio.until(lambda: studio.app.session.draft.steps == 34)
    async with opened() as studio:
        await studio.until(lambda: studio.app.presets)
        await studio.app.run_action("use_preset('fine')")
        await studio.until(lambda: studio.app.session.draft.steps == 33)


async def test_a_removed_preset_comes_back() -> None:
    save_presets({"one": {"steps": 5}, "two": {"steps": 6}})
    async with opened(80, 24) as studio:
        await studio.until(lambda: studio.app.presets)
        await studio.press("ctrl+s")
        await studio.shows("one", "two")
        await studio.press("down", "ctrl+d")
        await studio.until(lambda: list(load_presets()) == ["one"])
        await studio.press("ctrl+z")
        await studio.until(lambda: sorted(load_presets()) == ["one", "two"])
        await studio.press("escape")
        assert studio.app.session.draft.steps == 20


async def test_broken_presets_are_said_and_never_written_over() -> None:
    places().config.mkdir(parents=True)
    places().presets_file.write_text("[quick")
    async with opened() as studio:
        await studio.shows("presets.toml cannot be read")
        await studio.press("ctrl+s")
        await studio.pilot.pause()
        assert isinstance(studio.app.screen, Create)
    assert places().presets_file.read_text() == "[quick"


async def test_the_settings_are_undone_from_the_panel_and_from_anywhere() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f4", "right", "right", "down", "left")
        await studio.until(lambda: studio.app.session.draft.guidance_scale == 7.0)
        await studio.press("ctrl+z")
        await studio.until(lambda: studio.app.session.draft.guidance_scale == 7.5)
        await studio.press("escape", "alt+z")
        await studio.until(lambda: studio.app.session.draft.steps == 20)
        await studio.press("alt+y")
        await studio.until(lambda: studio.app.session.draft.steps == 22)
        assert studio.app.session.draft.prompt == "pear"


# ---- undo ----------------------------------------------------------------------------------------


def changed(undo: SettingsUndo, draft: Draft, **changes: object) -> Draft:
    after = draft.replace(**changes)
    undo.note(draft, after)
    return after


def test_changes_are_taken_back_and_made_again() -> None:
    undo, first = SettingsUndo(), Draft(prompt="a")
    second = changed(undo, first, steps=30)
    third = changed(undo, second, scheduler="euler")
    assert undo.back(third) == second
    assert undo.back(second) == first
    assert undo.back(first) == first
    assert undo.forth(first) == second
    assert undo.forth(second) == third
    assert undo.forth(third) == third


def test_a_field_turned_step_by_step_is_one_change_until_something_else_happens() -> None:
    undo, draft = SettingsUndo(), Draft()
    for steps in (21, 22, 23):
        draft = changed(undo, draft, steps=steps)
    undo.settle()
    draft = changed(undo, draft, steps=24)
    assert undo.back(draft).steps == 23
    assert undo.back(draft.replace(steps=23)).steps == 20


def test_the_prompt_is_not_taken_back() -> None:
    undo, draft = SettingsUndo(), Draft(prompt="a")
    draft = changed(undo, draft, steps=30)
    draft = changed(undo, draft, prompt="a pear", negative_prompt="blurry")
    back = undo.back(draft)
    assert (back.steps, back.prompt, back.negative_prompt) == (20, "a pear", "blurry")


def test_a_new_change_forgets_what_was_taken_back() -> None:
    undo, first = SettingsUndo(), Draft()
    second = changed(undo, first, steps=30)
    third = changed(undo, undo.back(second), count=2)
    assert undo.forth(third) == third
