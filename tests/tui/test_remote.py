"""Life over SSH: poor links, plain terminals, no mouse, and a connection that breaks.

The real studio and the real engine, in terminals that answer as real ones do, after a delay and at the
link's rate. What was sent is drawn by an emulator, without the pictures, which it does not know.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest

from sdtui.engine.client import EngineClient
from sdtui.engine.protocol import Cancel
from sdtui.history import History
from sdtui.settings import Settings, places, save_settings
from sdtui.tui.remembered import studio_file
from tests.engine.talk import snapshot
from tests.terminal.fake_terminal import KITTY, MUTE, PLAIN, SDTUI, WEZTERM, XTERM, FakeTerminal, Profile

GENERATE, QUIT = b"\x07", b"\x11"
STEPS = 900
PICTURES = re.compile(rb"\x1b_.*?\x1b\\|\x1bP.*?\x1b\\|\x1b\].*?(?:\x07|\x1b\\)", re.DOTALL)
PATIENCE = 90.0


@dataclass(frozen=True)
class Link:
    """A terminal and the way to it: cells, bytes a second, seconds there and back."""

    terminal: Profile
    size: tuple[int, int] = (80, 24)
    rate: float = 50_000.0
    delay: float = 0.3
    environment: Mapping[str, str] = field(default_factory=dict)


PLAIN_COLOURS = {"TERM": "xterm", "COLORTERM": ""}
LINKS = {
    "sixel": Link(XTERM),
    "kitty": Link(KITTY, (120, 40)),
    "iterm2": Link(WEZTERM, (160, 48)),
    "16 colours": Link(PLAIN, environment=PLAIN_COLOURS),
    "no colours": Link(PLAIN, environment={**PLAIN_COLOURS, "NO_COLOR": "1"}),
    "mute": Link(MUTE, environment=PLAIN_COLOURS),
    "at hand": Link(KITTY, rate=float("inf"), delay=0.0),
    "second-long": Link(XTERM, (120, 40), rate=20_000.0, delay=1.0),
}
QUICK = "sixel"


@pytest.fixture(scope="module")
def busy_home(tiny_bundle: Path) -> Iterator[Path]:
    """A home whose model is the tiny one, which is given more steps than it gets through meanwhile."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="sdtui-", dir="/tmp") as home,
    ):
        patch.setenv("SDTUI_HOME", home)
        patch.setenv("OMP_NUM_THREADS", "1")
        save_settings(Settings(model=str(tiny_bundle), steps=STEPS))
        try:
            yield Path(home)
        finally:
            EngineClient.stop(timeout=30)


def opened(link: Link) -> FakeTerminal:
    """The studio at the end of a link."""
    columns, rows = link.size
    return FakeTerminal(
        SDTUI,
        link.terminal,
        columns=columns,
        rows=rows,
        rate=link.rate,
        delay=link.delay,
        environment=link.environment,
    )


def shown(terminal: FakeTerminal, size: tuple[int, int]) -> str:
    """What a person reads on the screen."""
    screen = pyte.Screen(*size)
    pyte.ByteStream(screen).feed(PICTURES.sub(b"", bytes(terminal.sent)))
    return "\n".join(screen.display)


def step_of(screen: str) -> int:
    """The step that the progress line tells; 0 where it tells none."""
    found = re.search(rf"(\d+)/{STEPS}\b", screen)
    return int(found[1]) if found else 0


def comes_to(terminal: FakeTerminal, link: Link, step: int) -> int:
    """Wait until the screen tells of a later step than this one."""
    terminal.until(lambda _: step_of(shown(terminal, link.size)) > step, PATIENCE)
    return step_of(shown(terminal, link.size))


def running() -> list[str]:
    """The jobs that the engine has not finished."""
    with contextlib.closing(EngineClient.connect(start=False)) as client:
        return [job.job for job in snapshot(client).jobs if job.state in ("queued", "running")]


def cancel_all() -> None:
    with contextlib.closing(EngineClient.connect(start=False)) as client:
        for job in running():
            client.send(Cancel(job))
        snapshot(client)


@pytest.mark.usefixtures("busy_home")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.slow) for name in LINKS]
)
def test_a_connection_breaks_and_the_work_goes_on(name: str) -> None:
    link = LINKS[name]
    studio_file().unlink(missing_ok=True)
    with opened(link) as terminal:
        terminal.type(f"a pear by {name}".encode())
        terminal.until(lambda _: f"pear by {name}" in shown(terminal, link.size), PATIENCE)
        terminal.type(GENERATE)
        before = comes_to(terminal, link, 1)
        terminal.type(b" and more")
        terminal.until(lambda _: "and more" in shown(terminal, link.size), PATIENCE)
        jobs = running()
        assert len(jobs) == 1
        os.killpg(terminal.process.pid, signal.SIGHUP)
        terminal.process.wait(10)
    assert running() == jobs, "the engine does not hear that a window closes"

    with opened(link) as terminal:
        assert comes_to(terminal, link, before) > before
        assert "and more" in shown(terminal, link.size), "what was typed last is there"
        terminal.type(QUIT)
        assert terminal.ended(30) == 0
        assert terminal.left_over(2 * link.delay) == b""
        colours = bytes(terminal.sent)
    if link.environment.get("TERM") == "xterm":
        assert b"38;2;" not in colours
        assert b"48;2;" not in colours
    cancel_all()
    with History(places().history_file) as history:
        assert history.recent() == []
