"""Calling somebody back: what is worth it, and what is written to the terminal."""

from __future__ import annotations

import msgspec
import pytest

from sdtui.conversion import ConversionRequest
from sdtui.engine.protocol import Conversion, Failed, Failure, Finished, Job, Result
from sdtui.request import GenerationRequest
from sdtui.tui.calling import news, sequence
from sdtui.tui.engine_link import LinkEvent
from sdtui.tui.engine_view import EngineView
from tests.tui.opened import SECONDS, finished, make_picture, opened, queued, step

APPLE = GenerationRequest(prompt="red apple", seed=7)
FAILURE = Failure("no room for the picture", "the disk is full", "make room")
CONVERSION = Conversion("c", ConversionRequest(source="/sd15", output="/models/sd15"), "running")


def done_in(seconds: float) -> Finished:
    """A picture that took so long."""
    total = msgspec.structs.replace(SECONDS, total=seconds)
    return Finished("j", APPLE, Result("/p.png", 1, 64, 64, "starter", "portable", total, 1))


@pytest.mark.parametrize(
    ("event", "called"),
    [
        (done_in(12), "sdtui: red apple is done"),
        (done_in(3), ""),
        (Failed("long", FAILURE), "sdtui: no room for the picture"),
        (Failed("short", FAILURE), ""),
        (msgspec.structs.replace(CONVERSION, state="failed"), "sdtui: the conversion of sd15 has ended"),
        (msgspec.structs.replace(CONVERSION, state="cancelled"), ""),
        (CONVERSION, ""),
    ],
)
def test_a_long_job_that_ends_is_news(event: LinkEvent, called: str) -> None:
    jobs = (Job("long", APPLE, "running", step(5, elapsed=40.0)), Job("short", APPLE, "running", step(1)))
    assert news(EngineView(jobs=jobs, conversions=(CONVERSION,)), event) == called


def test_the_line_has_no_control_characters_and_tmux_passes_it_on() -> None:
    assert sequence("a\x1b]\nb", {}) == "\x1b]9;a ] b\x07"
    assert sequence("a", {"TMUX": "/tmp/tmux"}) == "\x1bPtmux;\x1b\x1b]9;a\x07\x1b\\"


@pytest.mark.usefixtures("home")
async def test_the_bell_rings_when_a_long_picture_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as studio:
        rung: list[str] = []
        monkeypatch.setattr(studio.app, "bell", lambda: rung.append("bell"))
        submit = await studio.generate("red apple")
        message = finished(submit, make_picture(submit.request))
        long = msgspec.structs.replace(message.result, seconds=msgspec.structs.replace(SECONDS, total=60.0))
        studio.engine.say(queued(submit), msgspec.structs.replace(message, result=long))
        await studio.shows("done in 60.0 s")
        assert rung == ["bell"]


@pytest.mark.usefixtures("home")
async def test_the_path_is_copied_and_shown() -> None:
    record = make_picture(APPLE)
    async with opened(80, 24) as studio:
        await studio.press("alt+c")
        await studio.shows("copied", str(record.path)[-30:])
        assert studio.app.clipboard == str(record.path)
