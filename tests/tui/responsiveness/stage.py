"""What a measurement plays on: a home full of pictures, and the studio in a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from sdtui.engine.client import EngineClient, NoEngine
from sdtui.engine.protocol import Ask, Snapshot
from sdtui.request import GenerationRequest
from sdtui.settings import Settings, places, save_settings
from tests.terminal.fake_terminal import KITTY, SDTUI, FakeTerminal, Profile
from tests.tui.opened import remember_picture

PICTURES = 24
SIDE = 512
PATIENCE = 60.0
"""Seconds that a busy machine may take to load a model."""

GENERATE, NEXT, STOP, QUIT, ESCAPE = b"\x07", b"\x0e", b"\x14", b"\x11", b"\x1b"
GALLERY, REQUEST, RECENT, RIGHT = b"\x1bOQ", b"\x1bOS", b"\x1b[19~", b"\x1b[C"


@contextlib.contextmanager
def home(steps: int, model: Path | None = None) -> Iterator[Path]:
    """A home of its own with pictures in its history; its engine is gone afterwards.

    A new request takes ``steps`` with ``model``, a bundle, or with the starter.
    """
    before = os.environ.get("SDTUI_HOME")
    with tempfile.TemporaryDirectory(prefix="sdtui-", dir="/tmp") as folder:
        os.environ["SDTUI_HOME"] = folder
        try:
            _paint(PICTURES)
            save_settings(Settings(model=str(model) if model else None, steps=steps))
            yield Path(folder)
        finally:
            EngineClient.stop()
            if before is None:
                del os.environ["SDTUI_HOME"]
            else:
                os.environ["SDTUI_HOME"] = before


def _paint(count: int) -> None:
    """Pictures that compress about as badly as photographs do."""
    places().pictures.mkdir(parents=True)
    for number in range(count):
        grain = Image.effect_noise((SIDE, SIDE), 30).convert("RGB")
        ground = Image.linear_gradient("L").resize((SIDE, SIDE)).rotate(15 * number).convert("RGB")
        path = places().pictures / f"{number}.png"
        Image.blend(ground, grain, 0.3).save(path)
        request = GenerationRequest(prompt=f"picture {number}", seed=number, width=SIDE, height=SIDE)
        remember_picture(path, request, SIDE)


def studio(
    command: list[str] = SDTUI,
    *,
    profile: Profile = KITTY,
    rate: float = float("inf"),
    delay: float = 0.0,
    size: tuple[int, int] = (160, 48),
) -> FakeTerminal:
    """The studio in a terminal that answers as kitty does, over a link of ``rate`` bytes a second."""
    return FakeTerminal(command, profile, columns=size[0], rows=size[1], rate=rate, delay=delay)


def python(module: str, *arguments: str) -> list[str]:
    """The command line that runs one of our modules."""
    return [sys.executable, "-P", "-m", module, *arguments]


def furnished(terminal: FakeTerminal) -> None:
    """Wait until the studio knows its engine and has shown its latest picture."""
    _until(terminal, lambda engine: engine is not None)
    terminal.quiet(1.5, at_most=30.0)


def generated(terminal: FakeTerminal, typed: bytes) -> None:
    """Make a picture by these keys, and wait until all is quiet after it."""
    terminal.type(typed)
    _until(terminal, lambda engine: engine is not None and _unfinished(engine))
    _until(terminal, lambda engine: engine is not None and not _unfinished(engine))
    terminal.quiet(1.0, at_most=10.0)


def stepping(terminal: FakeTerminal, typed: bytes) -> None:
    """Queue pictures by these keys, and wait until one is between its steps."""
    terminal.type(typed)
    _until(terminal, lambda engine: engine is not None and engine.warmth == "busy")


def _unfinished(engine: Snapshot) -> int:
    return sum(job.state in ("queued", "running") for job in engine.jobs)


def _until(terminal: FakeTerminal, condition: Callable[[Snapshot | None], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition(_engine()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s"
        terminal.run(0.2)


def _engine() -> Snapshot | None:
    try:
        client = EngineClient.connect(start=False)
    except NoEngine:
        return None
    with contextlib.closing(client):
        client.send(Ask())
        answer = client.receive(10)
    assert isinstance(answer, Snapshot)
    return answer
