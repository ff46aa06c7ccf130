"""The trash is emptied from the palette, once the person has agreed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.history import History
from sdtui.request import GenerationRequest
from sdtui.settings import places
from tests.tui.opened import Opened, make_picture, opened

pytestmark = pytest.mark.usefixtures("home")


async def empty(studio: Opened) -> None:
    """Find the command in the palette and run it."""
    await studio.press("ctrl+p")
    await studio.pilot.press(*"empty")
    await studio.shows("empty the trash")
    await studio.press("enter", "enter")


def deleted(prompt: str) -> Path:
    """Where the file of a deleted picture is."""
    record = make_picture(GenerationRequest(prompt=prompt, seed=1))
    with History(places().history_file) as history:
        history.trash(record.id, places().trash)
        again = history.get(record.id)
    assert again is not None
    return Path(again.path)


async def test_it_says_what_is_lost_and_asks() -> None:
    files = [deleted("an apple"), deleted("a pear")]
    async with opened() as studio:
        await empty(studio)
        await studio.shows("Empty the trash?", "2 pictures, 1 MB, are gone for good")
        await studio.press("n")
        await studio.until(lambda: studio.app.screen is studio.app.create)
        assert all(file.exists() for file in files)
        await empty(studio)
        await studio.shows("Empty the trash?")
        await studio.press("y")
        await studio.shows("the trash is empty: 1 MB free")
    assert not any(file.exists() for file in files)


async def test_an_empty_trash_asks_nothing() -> None:
    async with opened() as studio:
        await empty(studio)
        await studio.shows("the trash is empty")
        assert studio.app.screen is studio.app.create
