"""The real studio with the real engine, in a real terminal: inside tmux, and on a bare one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui.engine.client import EngineClient
from sdtui.engine.protocol import Ask, Snapshot
from sdtui.history import History
from sdtui.settings import Settings, places, save_settings
from tests.tui.real_terminal import RealTerminal

SDTUI = [sys.executable, "-P", "-m", "sdtui"]
FEW, MANY = 120, 900
"""Steps: enough to see them advance, and enough not to be over before something else happens."""
LOADED_SECONDS = 90.0
"""What a busy machine may take to import torch and load the networks."""


@pytest.fixture
def home_with_tiny(home: Path, tiny_bundle: Path) -> Iterator[Path]:
    """A home whose model is the tiny one; its engine is gone afterwards."""
    places().models.mkdir(parents=True)
    (places().models / "tiny").symlink_to(tiny_bundle)
    save_settings(Settings(model="tiny", steps=FEW))
    yield home
    EngineClient.stop()


@contextlib.contextmanager
def in_tmux(command: list[str]) -> Iterator[list[str]]:
    """The command inside a tmux of its own; where there is no tmux, the command as it is."""
    tmux = shutil.which("tmux")
    if tmux is None:
        yield command
        return
    with tempfile.TemporaryDirectory(prefix="sdtui-tmux-") as folder:
        config = Path(folder, "tmux.conf")
        config.write_text("set -g status off\nset -g default-terminal tmux-256color\nset -s escape-time 10\n")
        server = [tmux, "-S", str(Path(folder, "socket")), "-f", str(config)]
        try:
            yield [*server, "new-session", *command]
        finally:
            subprocess.run([*server, "kill-server"], capture_output=True, check=False)


def steps_shown(screen: str) -> int:
    """The step that the progress line tells, 0 where it tells none."""
    found = re.search(rf"(\d+)/(?:{FEW}|{MANY})\b", screen)
    return int(found.group(1)) if found else 0


def engine() -> Snapshot:
    """How the engine is."""
    with contextlib.closing(EngineClient.connect(start=False)) as client:
        client.send(Ask())
        answer = client.receive(10)
    assert isinstance(answer, Snapshot)
    return answer


def prompts_in_history() -> list[str]:
    """The prompts of the pictures made so far, newest first."""
    with History(places().history_file) as history:
        return [record.request.prompt for record in history.recent()]


@pytest.mark.usefixtures("home_with_tiny")
def test_a_prompt_typed_in_tmux_becomes_a_picture_step_by_step() -> None:
    with in_tmux(SDTUI) as command, RealTerminal(command, 160, 48) as terminal:
        terminal.shows("PROMPT")
        terminal.type("a red apple")
        terminal.press("ctrl+g")
        seen: list[int] = []

        def note_steps(screen: str) -> bool:
            if (step := steps_shown(screen)) and step not in seen:
                seen.append(step)
            return "done in" in screen

        terminal.until(note_steps, LOADED_SECONDS)
        assert len(seen) > 3, f"the steps did not advance on the screen: {seen}"
        assert seen == sorted(seen)
        terminal.until(lambda screen: re.search(r"RECENT +▀+", screen))
        assert prompts_in_history() == ["a red apple"]

        terminal.resize(80, 24)
        terminal.until(lambda screen: "LIBRARY" not in screen and "a red apple" in screen)
        terminal.press("ctrl+n")
        terminal.until(lambda screen: steps_shown(screen) > 1, LOADED_SECONDS)
        terminal.shows("done in", LOADED_SECONDS)
        terminal.press("ctrl+q")
        terminal.ended()
    assert len(prompts_in_history()) == 2


@pytest.mark.usefixtures("home_with_tiny")
def test_neither_a_killed_engine_nor_a_closed_window_costs_the_work() -> None:
    save_settings(Settings(model="tiny", steps=MANY))
    with RealTerminal(SDTUI, 80, 24) as terminal:
        terminal.shows("PROMPT")
        terminal.type("a green pear")
        terminal.press("ctrl+g")
        terminal.until(lambda screen: steps_shown(screen) > 1, LOADED_SECONDS)

        os.kill(engine().pid, signal.SIGKILL)
        screen = terminal.shows("the engine stopped — it was ended or killed")
        assert "a green pear" in screen
        assert "gone" in screen

        terminal.press("ctrl+g")
        terminal.until(lambda screen: steps_shown(screen) > 1, LOADED_SECONDS)
        assert "the engine stopped" not in terminal.text
        # Leaving this block closes the window in the middle of the generation.

    with RealTerminal(SDTUI, 80, 24) as terminal:
        terminal.until(lambda screen: steps_shown(screen) > 1)
        assert "a green pear" in terminal.text, "the prompt outlives the window"
        terminal.press("ctrl+q")
        assert terminal.ended() == 0
        assert "a picture goes on in the engine" in terminal.text
    assert [job.state for job in engine().jobs if job.state in ("queued", "running")] == ["running"]


@pytest.mark.usefixtures("home_with_tiny")
def test_a_window_closed_before_the_engine_is_up_hands_its_picture_over() -> None:
    with RealTerminal(SDTUI, 80, 24) as terminal:
        terminal.type("a red pear")
        terminal.press("ctrl+g", "ctrl+q")
        assert terminal.ended() == 0
        assert "a picture goes on in the engine" in terminal.text
    assert [job.request.prompt for job in engine().jobs] == ["a red pear"]
