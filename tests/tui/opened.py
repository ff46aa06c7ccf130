"""The studio on a test's terminal, with an engine made of messages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from textual import events
from textual.app import App
from textual.pilot import Pilot

from sdtui.diffusion.events import Preview, Seconds, Step
from sdtui.engine.protocol import Finished, Job, Progress, Queued, Result, Submit
from sdtui.history import History, Origin, PictureRecord
from sdtui.request import GenerationRequest
from sdtui.settings import places
from sdtui.tui.app import Studio
from tests.tui.fake_engine import MEMORY, FakeEngine

SECONDS = Seconds(load=0.0, text=0.1, denoise=2.0, decode=0.2, total=2.3)


def screen_text(app: App[None]) -> str:
    """What is on the screen, without its colours."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


@dataclass
class Opened:
    """A running studio, its pilot and its engine."""

    app: Studio
    pilot: Pilot[None]
    engine: FakeEngine

    @property
    def text(self) -> str:
        """What is on the screen."""
        return screen_text(self.app)

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Let the studio run until a condition holds; AssertionError with the screen when it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s; the screen:\n{self.text}"
            await asyncio.sleep(0.01)
            await self.pilot.pause()

    async def shows(self, *texts: str) -> None:
        """Let the studio run until these texts are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts))

    async def press(self, *keys: str) -> None:
        """Press keys, and let the studio act on them."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type text into what has the focus, all at once."""
        for letter in text:
            self.app.post_message(events.Key("space" if letter == " " else letter, letter))
        await self.pilot.pause()

    async def generate(self, prompt: str | None = None) -> Submit:
        """Press the key, after typing a prompt, and return what the engine was asked for."""
        before = len(self.engine.submitted)
        if prompt is not None:
            await self.type(prompt)
        await self.press("ctrl+g")
        await self.until(lambda: len(self.engine.submitted) > before)
        return self.engine.submitted[before]


@contextlib.asynccontextmanager
async def opened(
    width: int = 160, height: int = 48, engine: FakeEngine | None = None
) -> AsyncIterator[Opened]:
    """The studio at a size of the terminal, connected."""
    engine = engine or FakeEngine()
    app = Studio(engine.connect)
    try:
        async with app.run_test(size=(width, height)) as pilot:
            studio = Opened(app, pilot, engine)
            await studio.until(lambda: app.session.engine.link == "on" and app.session.recent_known)
            yield studio
    finally:
        app.link.stop()
        app.link.wait(10)
        app.reader.finish(10)


def step(index: int, total: int = 20, elapsed: float | None = None) -> Step:
    """A step at four a second, with a preview."""
    preview = Preview(8, 8, bytes([index * 12 % 256, 90, 30]) * 64)
    return Step(index, total, index / 4 if elapsed is None else elapsed, preview)


def progress(job: str, index: int, total: int = 20) -> Progress:
    """A job has come to a step."""
    return Progress(job, step(index, total), MEMORY)


def queued(submit: Submit, ahead: int = 0) -> Queued:
    """The engine takes a job."""
    return Queued(submit.job, submit.request, ahead)


def make_picture(
    request: GenerationRequest, size: int = 64, colour: str = "red", job: str | None = None
) -> PictureRecord:
    """A picture on disk and in the history, as the engine leaves it."""
    folder = places().pictures
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{request.prompt.replace(' ', '-')}-{request.seed}{job or ''}.png"
    Image.new("RGB", (size, size), colour).save(path)
    return remember_picture(path, request, size, job)


def remember_picture(
    path: Path, request: GenerationRequest, size: int, job: str | None = None
) -> PictureRecord:
    """A row of the history."""
    with History(places().history_file) as history:
        return history.add(
            path=path,
            origin=Origin(request=request, model="starter", model_hash="0", runtime="portable", version="0"),
            size=(size, size),
            seconds={"load": 0, "text": 0.1, "denoise": 2, "decode": 0.2, "total": 2.3},
            peak_memory_bytes=1,
            job=job,
        )


def finished(submit: Submit | Job, record: PictureRecord) -> Finished:
    """The engine is done with a job."""
    result = Result(
        record.path, record.id, record.width, record.height, "starter", "portable bf16", SECONDS, 1
    )
    return Finished(submit.job, record.request, result)
