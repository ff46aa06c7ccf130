"""The person's own keys."""

from __future__ import annotations

import pytest
from textual.binding import Binding

from sdtui.settings import Settings, save_settings
from sdtui.tui.commands import COMMANDS
from sdtui.tui.key_catalogue import PARTS
from sdtui.tui.keymap import KeymapError, checked
from sdtui.tui.screens.gallery import Gallery
from sdtui.tui.screens.recall import Recall
from tests.tui.opened import make_picture, opened
from tests.tui.test_gallery import APPLE

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    ("keymap", "why"),
    [
        ({"magic": "f11"}, "'magic' is no command"),
        ({"generate": "f11"}, "generate keeps its keys"),
        ({"quit": "ctrl+x"}, "quit keeps its keys"),
        ({"recall": "ctrl+g"}, "ctrl+g is for generate and recall"),
        ({"recall": "f2"}, "f2 is for"),
        ({"recall": "f11", "library": "f11"}, "f11 is for"),
        ({"recall": "nokey"}, "'nokey' is no key"),
        ({"recall": ""}, "'' is no key"),
        ({"recall": "r"}, "r is written in prompts"),
        ({"log": "space"}, "space is written in prompts"),
        ({"gallery.take": "space"}, "space is for"),
        ({"request.less": "ctrl+g"}, "ctrl+g is for"),
    ],
)
def test_a_keymap_that_would_not_work_is_refused(keymap: dict[str, str], why: str) -> None:
    with pytest.raises(KeymapError, match=r"\[keymap\]") as caught:
        checked(keymap)
    assert why in str(caught.value)


def test_a_keymap_may_swap_keys_and_give_keys_to_what_has_none() -> None:
    keymap = {"recall": "ctrl+l", "library": "ctrl+r", "log": "f11,alt+l", "gallery.favour": "b"}
    assert checked(keymap) == keymap
    assert checked({"gallery.compare": "+"}) == {"gallery.compare": "plus_sign"}


def test_the_usual_keys_are_in_order() -> None:
    assert checked({}) == {}
    for bindings in PARTS.values():
        assert all(binding.id and binding.description for binding in Binding.make_bindings(bindings))
    assert len({command.id for command in COMMANDS}) == len(COMMANDS)


async def test_own_keys_work_and_the_usual_ones_are_free() -> None:
    make_picture(APPLE)
    save_settings(Settings(keymap={"recall": "f11", "gallery.favour": "b", "lock-seed": "alt+l"}))
    async with opened() as studio:
        await studio.shows("f11 recall")
        await studio.press("ctrl+r")
        await studio.pilot.pause()
        assert not isinstance(studio.app.screen, Recall)
        await studio.press("f11")
        await studio.until(lambda: isinstance(studio.app.screen, Recall))
        await studio.press("escape", "alt+l")
        await studio.until(lambda: studio.app.session.draft.seed_locked)
        await studio.press("f2")
        await studio.until(lambda: isinstance(studio.app.screen, Gallery))
        await studio.shows("b favourite", "red apple")
        await studio.press("b")
        await studio.shows("♥")
        await studio.press("f1")
        await studio.shows("f11", "recall")


async def test_a_keymap_that_is_refused_is_one_line_and_the_usual_keys_work() -> None:
    save_settings(Settings(keymap={"recall": "ctrl+g"}))
    async with opened() as studio:
        await studio.shows("✗ [keymap] ctrl+g is for generate and recall")
        await studio.press("ctrl+r")
        await studio.until(lambda: isinstance(studio.app.screen, Recall))
