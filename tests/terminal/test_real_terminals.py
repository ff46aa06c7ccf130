"""A picture of four colours in real terminals, by the pixels of a screenshot of their windows.

Slow: ``python -m pytest -m slow tests/terminal``. Each terminal that is not installed fails its test, with
what is missing; ``SDTUI_TERMINALS=xterm,kitty`` chooses those that are to be tried.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.terminal import windows
from tests.terminal.browser_terminal import served
from tests.terminal.windows import CHROMIUM, KITTY, XTERM, quarters, running, screen, wrong

SECONDS = 40.0
"""How long a terminal may take to start and show a picture, on a busy machine."""
CHOSEN = os.environ.get("SDTUI_TERMINALS")
TERMINALS = {
    "xterm": (["xterm"], "auto", "sixel"),
    "xterm with tmux": (["xterm", "tmux"], "auto", "sixel|halfblock"),  # tmux may be built without sixel
    "kitty": (["kitty"], "auto", "kitty"),
    "kitty with tmux": (["kitty", "tmux"], "auto", "kitty"),
    "browser, iTerm2's way": (["chromium", "xterm.js"], "iterm2", "iterm2"),
    "browser": (["chromium", "xterm.js"], "auto", "sixel"),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def until(condition: Callable[[], object], message: Callable[[], str]) -> None:
    """Wait for a condition; AssertionError when it does not come."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, message()
        time.sleep(0.25)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[list[str]]:
    """The command that runs another in a tmux of its own."""
    configuration = tmp_path / "tmux.conf"
    configuration.write_text("set -g allow-passthrough on\nset -g status off\n")
    command = ["tmux", "-S", str(tmp_path / "tmux"), "-f", str(configuration)]
    yield [*command, "new-session"]
    subprocess.run([*command, "kill-server"], capture_output=True, check=False)


@pytest.mark.parametrize(
    "name", [name for name in TERMINALS if not CHOSEN or set(TERMINALS[name][0]) & {*CHOSEN.split(",")}]
)
def test_the_picture_is_there_whole_and_gone_afterwards(name: str, tmp_path: Path, tmux: list[str]) -> None:
    programs, wanted, shown = TERMINALS[name]
    absent = windows.missing(["Xvfb", "import", *programs])
    assert not absent, f"not installed: {', '.join(absent)}"
    told = tmp_path / "told"
    app = shlex.join([sys.executable, "-P", "-m", "tests.tui.picture_app", wanted, "quarters", str(told)])
    # The terminal stays, to see that the picture does not.
    inside = ["sh", "-c", f"{app}; exec sleep 100"]
    if "tmux" in programs:
        inside = [*tmux, shlex.join(inside)]
    with screen() as environment, ExitStack() as stack:
        match programs[0]:
            case "xterm":
                command = [*XTERM, *inside]
            case "kitty":
                command = [*KITTY, *inside]
            case _:
                page = stack.enter_context(served(inside))
                command = [*CHROMIUM, f"--user-data-dir={tmp_path / 'browser'}", f"--app={page}"]
        stack.enter_context(running(command, environment))
        until(
            lambda: not wrong(quarters(environment, tmp_path)),
            lambda: wrong(quarters(environment, tmp_path)),
        )
        number = re.search(r"PROCESS (\d+)", told.read_text())
        assert number
        os.kill(int(number[1]), signal.SIGTERM)
        until(
            lambda: "SHOWN" in told.read_text() and not quarters(environment, tmp_path),
            lambda: f"left behind: {quarters(environment, tmp_path)}",
        )
        assert re.search(rf"TYPED '' SHOWN (?:{shown})\n", told.read_text()), told.read_text()
