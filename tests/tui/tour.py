"""The main screens one after the other, with pictures that the starter makes meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.on_terminal import ROOT
from tests.tui.real_terminal import RealTerminal

HOME = Path(tempfile.gettempdir()) / "atelier"
"""What people see of paths in the pictures."""
LIBRARY = HOME / "lib"
SDTUI = [sys.executable, "-P", "-m", "sdtui"]
LARGE, SMALL = (120, 36), (80, 24)
SUBJECTS = (
    "rocket on a green background",
    "blue fish on a yellow background",
    "green pear on a white background",
    "lemon on a pink background",
    "red mushroom on a blue background",
    "penguin on a purple background",
    "fox on a white background",
    "teapot on an orange background",
    "cactus on a pink background",
    "hot air balloon on a blue background",
    "owl on a yellow background",
    "sunflower on a blue background",
    "strawberry on a green background",
    "green apple on a yellow background",
)
PROMPT = "(red:1.2) apple on a blue background"
SEED = 21
Shoot = Callable[[RealTerminal, str], object]


def tour(shoot: Shoot, forecast: Callable[[RealTerminal], object] | None) -> None:
    """Walk through the studio; ``shoot`` photographs what is on the terminal under a name.

    ``forecast`` opens the conversion dialog with something in it. Raises FileExistsError where another
    tour is under way.
    """
    HOME.mkdir()
    (LIBRARY / "sdtui").parent.mkdir()
    (LIBRARY / "sdtui").symlink_to(Path(ROOT) / "sdtui")  # no path of this machine is photographed
    os.environ |= {"SDTUI_HOME": str(HOME), "PYTHONPATH": str(LIBRARY)}
    try:
        for number, prompt in enumerate(SUBJECTS):
            _sdtui("generate", prompt, "--seed", str(SEED + number))
        _create(shoot)
        _pictures(shoot)
        _dialogs(shoot, forecast)
    finally:
        _sdtui("engine", "stop")
        shutil.rmtree(HOME)


def _create(shoot: Shoot) -> None:
    """The main screen, large and small."""
    with _studio(160, 48) as terminal:
        _press(terminal, "f4", "down", "down")
        terminal.type(str(SEED))
        _press(terminal, "enter", "escape")
        terminal.type(PROMPT)
        _make(terminal)
        shoot(terminal, "create")
        _leave(terminal)
    with _studio(*SMALL) as terminal:
        _make(terminal)
        shoot(terminal, "small")
        _leave(terminal)


def _make(terminal: RealTerminal) -> None:
    terminal.press("ctrl+g")
    terminal.shows("done in", 120)
    terminal.rest(2)


def _pictures(shoot: Shoot) -> None:
    """The screens that show pictures already made, and an X/Y sheet."""
    with _studio(*LARGE) as terminal:
        _press(terminal, "f2", "right", "right", "right", "right", "f", "right", "right")
        terminal.rest(2)
        shoot(terminal, "gallery")
        _press(terminal, "end", "=", "left", "=")
        terminal.shows("one at a time")
        terminal.rest(2)
        shoot(terminal, "compare")
        _press(terminal, "escape", "escape", "alt+m")
        terminal.shows("is painted anew")
        _press(terminal, "+", "+", "space")
        for key in ("right", "right", "up", "left", "left", "down"):
            terminal.press(*[key] * 6)
            terminal.rest(0.5)
        _press(terminal, "space")
        terminal.rest(2)
        shoot(terminal, "mask")
        _press(terminal, "escape")
        _leave(terminal)
    with _studio(160, 48) as terminal:
        _press(terminal, "f10")
        while "‹ prompt ›" not in terminal.text:
            _press(terminal, "left")
        _press(terminal, "down", "ctrl+u")
        terminal.type("apple, pear, lemon")
        _press(terminal, "enter")
        terminal.shows("the X/Y sheet is done", 300)
        terminal.rest(2)
        shoot(terminal, "sheet")
        _leave(terminal)


def _dialogs(shoot: Shoot, forecast: Callable[[RealTerminal], object] | None) -> None:
    """The screens of words."""
    with _studio(*LARGE) as terminal:
        for name, title in (("settings", "SETTINGS"), ("model details", "MODEL")):
            _press(terminal, "ctrl+p")
            terminal.type(name)
            terminal.rest()
            _press(terminal, "enter")
            terminal.shows(title)
            shoot(terminal, name.partition(" ")[0])
            _press(terminal, "escape")
        _press(terminal, "f1")
        shoot(terminal, "help")
        _press(terminal, "escape")
        if forecast:
            forecast(terminal)
            terminal.rest()
            shoot(terminal, "convert")
            _press(terminal, "escape")
        _leave(terminal)


def _studio(columns: int, rows: int) -> RealTerminal:
    terminal = RealTerminal(SDTUI, columns, rows, {"PYTHONPATH": str(LIBRARY)})
    terminal.shows("^g generate", 60)
    terminal.rest(2)
    return terminal


def _press(terminal: RealTerminal, *keys: str) -> None:
    """Press keys as slowly as a person does."""
    for key in keys:
        if len(key) == 1:
            terminal.type(key)
        else:
            terminal.press(key)
        terminal.rest(0.7)


def _leave(terminal: RealTerminal) -> None:
    terminal.press("ctrl+q")
    terminal.ended()


def _sdtui(*words: str) -> None:
    subprocess.run([*SDTUI, *words], check=True, stdout=subprocess.DEVNULL)
