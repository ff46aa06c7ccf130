"""The start of the studio: what it imports, and how soon it takes a key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.cold_start import SDTUI, measure
from tests.tui.real_terminal import RealTerminal

COMPUTING = {"torch", "coremltools", "diffusers", "transformers", "numpy"}
SLOW = {"PIL", "sqlite3", "tokenizers", "typer"}
ROOT = Path(__file__).parents[2]

WHOLE_PATH = """
import asyncio
from sdtui.request import GenerationRequest
from tests.tui.opened import finished, make_picture, opened, progress, queued

async def main():
    make_picture(GenerationRequest(prompt="pear", seed=1))
    async with opened() as studio:
        submit = await studio.generate("red apple")
        studio.engine.say(queued(submit), progress(submit.job, 3))
        await studio.shows("3/20")
        studio.engine.say(finished(submit, make_picture(submit.request)))
        await studio.shows("done in")
        await studio.press("ctrl+r")
        await studio.shows("pear")

asyncio.run(main())
"""


def modules_after(code: str) -> set[str]:
    """The top-level modules that a new Python has after running ``code``."""
    report = "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + report], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_first_frame_waits_for_nothing_slow() -> None:
    assert not modules_after("import sdtui.tui.app") & (COMPUTING | SLOW)


@pytest.mark.usefixtures("home")
def test_the_interface_never_imports_what_computes() -> None:
    assert not modules_after(WHOLE_PATH) & COMPUTING


@pytest.mark.usefixtures("home")
def test_the_studio_takes_keys_about_as_soon_as_a_bare_app() -> None:
    # A busy moment of the machine may hit one side of a measurement, hardly three times.
    ratios: list[float] = []
    while len(ratios) < 3 and not (ratios and ratios[-1] <= 1.5):
        ratios.append(measure(5).ratio)
    assert ratios[-1] <= 1.5, ratios


@pytest.mark.usefixtures("home")
def test_what_is_typed_ahead_of_the_first_frame_is_there_in_its_order() -> None:
    from sdtui.engine.client import EngineClient

    with RealTerminal(SDTUI, 80, 24) as terminal:
        for letter in "abcdefghijklmnopqrstuvwxyz0123456789":
            terminal.type(letter)
            terminal.read(0.01)
        terminal.shows("abcdefghijklmnopqrstuvwxyz0123456789")
        terminal.press("ctrl+q")
        assert terminal.ended() == 0
    EngineClient.stop()


@pytest.mark.usefixtures("home")
def test_an_idle_studio_sends_next_to_nothing() -> None:
    from sdtui.engine.client import EngineClient

    with RealTerminal(SDTUI, 160, 48) as terminal:
        terminal.shows("engine ○ cold")
        terminal.rest(2)
        before = terminal.received
        terminal.rest(2)
        assert terminal.received - before < 4000, "the machine's memory may change by a tenth, no more"
        terminal.press("ctrl+q")
        terminal.ended()
    EngineClient.stop()
