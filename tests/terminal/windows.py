"""Real terminals in windows on a screen that nobody sees, and what is in sight there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from tests.on_terminal import ROOT
from tests.terminal.browser_terminal import MODULES

SIZE = "1280x900x24"
XTERM = [
    *("xterm", "-ti", "vt340", "-tn", "xterm-256color", "-geometry", "100x40"),
    *("-fa", "monospace", "-fs", "9", "-e"),
]
KITTY = [
    *("kitty", "--config", "NONE", "-o", "update_check_interval=0", "-o", "confirm_os_window_close=0"),
    *("-o", "shell_integration=disabled", "-o", "remember_window_size=no"),
    *("-o", "initial_window_width=1000", "-o", "initial_window_height=800"),
]
CHROMIUM = [
    *("chromium", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-component-update", "--disable-background-networking", "--force-color-profile=srgb"),
    *("--window-position=0,0", "--window-size=1200,880"),
]
PROGRAMS = {
    "Xvfb": "Debian's package xvfb",
    "import": "Debian's package imagemagick",
    "xterm": "Debian's package xterm",
    "kitty": "Debian's package kitty, 0.28 or newer: Debian 13 has it",
    "tmux": "Debian's package tmux",
    "chromium": "Debian's package chromium",
    "xterm.js": "npm install --prefix tests/terminal/browser",
}
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
NEAR = 16
"""Levels between a colour and what a terminal makes of it."""
BLUR = 3
"""Pixels between two colours that a terminal has mixed, which scales a picture."""
Box = tuple[int, int, int, int]


def missing(programs: Sequence[str]) -> list[str]:
    """Which of these are not installed, or too old, and how one comes by them."""
    return [f"{name} ({PROGRAMS[name]})" for name in programs if not _installed(name)]


def _installed(name: str) -> bool:
    if name == "xterm.js":
        return MODULES.is_dir()
    if shutil.which(name) is None:
        return False
    if name != "kitty":
        return True
    told = subprocess.run(["kitty", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", told)
    return found is not None and (int(found[1]), int(found[2])) >= (0, 28)


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], **options: object) -> Iterator[None]:
    """A program and its children, ended afterwards."""
    process = subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        **{"stdout": subprocess.DEVNULL, **options},  # type: ignore[call-overload]
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def screen() -> Iterator[dict[str, str]]:
    """A screen; yields the variables for programs on it."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", SIZE, "+extension", "GLX", "-noreset"]
    with running(command, os.environ, pass_fds=(writer,)):
        os.close(writer)
        with os.fdopen(reader) as told:
            number = told.readline().strip()
        kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        kept.pop("COLORTERM", None)
        yield {
            **kept,
            "DISPLAY": f":{number}",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "LANG": "C.UTF-8",
            "PYTHONPATH": ROOT,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }


def quarters(environment: Mapping[str, str], folder: Path) -> dict[str, tuple[int, Box]]:
    """For each of the four colours in sight, how many pixels, and the box around them."""
    shot = folder / "shot.png"
    subprocess.run(["import", "-window", "root", str(shot)], env=environment, check=True)
    found: dict[str, tuple[int, Box]] = {}
    with Image.open(shot) as opened:
        image = opened.convert("RGB")
    for name, colour in COLOURS.items():
        bands = [
            band.point([255 * (abs(level - wanted) <= NEAR) for level in range(256)])
            for band, wanted in zip(image.split(), colour, strict=True)
        ]
        mask = Image.merge("RGB", bands).convert("L").point([255 * (level == 255) for level in range(256)])
        if box := mask.getbbox():
            found[name] = mask.histogram()[255], box
    return found


def wrong(found: dict[str, tuple[int, Box]]) -> str:
    """What is wrong with what is in sight; empty when it is the picture, whole and in its place."""
    if set(found) != set(COLOURS):
        return f"only {sorted(found) or 'nothing'} is there"
    areas = [area for area, _ in found.values()]
    if max(areas) > 1.02 * min(areas) or min(areas) < 5_000:
        return f"the quarters are not of one size: {areas}"
    red, green, blue, yellow = (found[name][1] for name in COLOURS)
    meet = (
        abs(left[edge] - right[edge - 2]) <= BLUR
        for left, right, edge in ((red, green, 2), (blue, yellow, 2), (red, blue, 3), (green, yellow, 3))
    )
    return "" if all(meet) else f"the quarters do not meet: {red}, {green}, {blue}, {yellow}"
