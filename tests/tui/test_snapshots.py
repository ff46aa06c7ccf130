"""Every screen in its states is as it was looked at.

``python -m pytest tests/tui/test_snapshots.py -m "" --accept`` writes the screens down as they are now;
what changed is to be read in the difference before it is kept. Without ``--accept`` it looks at every size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.tui.opened import Opened, opened
from tests.tui.scenes import SCENES, Scene, fix_figures
from tests.tui.snapshot import FOLDER, Size, file_of, written

SIZES = [(80, 24), (120, 40), (200, 60)]
"""The first is looked at by every run of the tests, the others by the slow ones."""
ALIKE = 8
"""Frames in a row that are the same when a screen is accepted."""


def spelled(sizes: Sequence[Size]) -> str:
    """Sizes as people write them."""
    return "-".join(f"{width}x{height}" for width, height in sizes)


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
@pytest.mark.parametrize("sizes", [SIZES[:1], pytest.param(SIZES[1:], marks=pytest.mark.slow)], ids=spelled)
async def test_the_screen_is_as_it_was_looked_at(
    scene: Scene,
    sizes: Sequence[Size],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    fix_figures(monkeypatch)
    scene.before()
    async with opened(*sizes[0]) as studio:
        await scene.enter(studio)
        await studio.shows(*scene.ready)
        for size in sizes:
            await studio.pilot.resize_terminal(*size)
            file = file_of(scene.name, size)
            if request.config.getoption("--accept"):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(await at_rest(studio, home))
            await becomes(studio, home, file.read_text())


def test_every_snapshot_belongs_to_a_scene() -> None:
    assert {*FOLDER.glob("*/*")} == {file_of(scene.name, size) for scene in SCENES for size in SIZES}


async def becomes(studio: Opened, home: Path, wanted: str) -> None:
    """Let the studio run until its screen is as written down."""
    try:
        await studio.until(lambda: written(studio.app, home) == wanted)
    except AssertionError:
        assert written(studio.app, home).splitlines() == wanted.splitlines()


async def at_rest(studio: Opened, home: Path) -> str:
    """The screen when nothing on it changes any more."""
    before, alike = "", 0
    while alike < ALIKE:
        now = written(studio.app, home)
        before, alike = now, alike + 1 if now == before else 0
        await asyncio.sleep(0.01)
        await studio.pilot.pause()
    return before
