"""A picture in real terminals, looked at in a screenshot: ``python -m tests.terminal.real_terminals``.

Needs Xvfb, ImageMagick's import, and whichever of xterm, kitty (0.28 or newer) and tmux are to be tried;
what is not installed is said and left out. In each terminal the four quarters of the picture must be
there, equally large and in their places, and gone once the app has ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

DISPLAY = ":77"
SECONDS = 20.0
"""How long a terminal may take to show a picture."""
APP = [sys.executable, "-P", "-m", "tests.tui.picture_app", "auto", "quarters"]
XTERM = [
    "xterm",
    "-ti",
    "vt340",
    "-tn",
    "xterm-256color",
    "-geometry",
    "100x40",
    "-fa",
    "monospace",
    "-fs",
    "9",
    "-e",
]
KITTY = ["kitty", "--config", "NONE", "-o", "update_check_interval=0", "-o", "confirm_os_window_close=0"]
TMUX = ["tmux", "-L", "sdtui-pictures", "-f"]
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
Box = tuple[int, int, int, int]


@contextmanager
def running(command: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    """A program and its children, ended afterwards."""
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def quarters(environment: dict[str, str], folder: Path) -> dict[str, tuple[int, Box]]:
    """For each colour in sight, how many pixels, and the box around them."""
    shot = folder / "shot.png"
    subprocess.run(["import", "-window", "root", str(shot)], env=environment, check=True)
    found: dict[str, tuple[int, Box]] = {}
    image = Image.open(shot).convert("RGB")
    for name, colour in COLOURS.items():
        bands = [
            band.point([255 * (abs(level - wanted) <= 16) for level in range(256)])
            for band, wanted in zip(image.split(), colour, strict=True)
        ]
        mask = Image.merge("RGB", bands).convert("L").point([255 * (level == 255) for level in range(256)])
        if box := mask.getbbox():
            found[name] = mask.histogram()[255], box
    return found


def judged(found: dict[str, tuple[int, Box]]) -> str:
    """What is wrong with what is in sight; empty when it is the picture."""
    if set(found) != set(COLOURS):
        return f"only {sorted(found) or 'nothing'} is there"
    areas = [area for area, _ in found.values()]
    if max(areas) > 1.02 * min(areas) or min(areas) < 5_000:
        return f"the quarters are not of one size: {areas}"
    (red, green, blue, yellow) = (found[name][1] for name in COLOURS)
    meet = red[2] == green[0] and blue[2] == yellow[0] and red[3] == blue[1] and green[3] == yellow[1]
    return "" if meet else f"the quarters do not meet: {red}, {green}, {blue}, {yellow}"


def main() -> int:
    """Try each, and print how it went; returns how many failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        conf = folder / "tmux.conf"
        conf.write_text("set -g allow-passthrough on\nset -g status off\n")
        environment = {**os.environ, "DISPLAY": DISPLAY, "LIBGL_ALWAYS_SOFTWARE": "1", "LANG": "C.UTF-8"}
        for variable in ("TMUX", "NO_COLOR", "COLORTERM"):
            environment.pop(variable, None)
        screen = ["Xvfb", DISPLAY, "-screen", "0", "1280x900x24", "+extension", "GLX", "+render", "-noreset"]
        inside = [*TMUX, str(conf), "new-session"]
        ways = {"xterm": [*XTERM], "kitty": [*KITTY], "tmux in kitty": [*KITTY, *inside]}
        with running(screen, environment):
            time.sleep(2)
            for way, command in ways.items():
                missing = [
                    part for part in command if part in ("xterm", "kitty", "tmux") and not shutil.which(part)
                ]
                if missing:
                    print(f"{way:16} left out: {', '.join(missing)} is not installed")
                    continue
                with running([*command, *APP], environment):
                    deadline, wrong = time.monotonic() + SECONDS, "nothing was looked at"
                    while wrong and time.monotonic() < deadline:
                        time.sleep(0.5)
                        wrong = judged(quarters(environment, folder))
                time.sleep(0.5)
                wrong = wrong or ("something is left behind" if quarters(environment, folder) else "")
                print(f"{way:16} {wrong or 'right'}")
                failed += bool(wrong)
    subprocess.run([*TMUX[:3], "kill-server"], capture_output=True, check=False)
    return failed


if __name__ == "__main__":
    sys.exit(main())
