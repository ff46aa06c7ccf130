"""What a person, or a script, sees of pictures being made: on stderr, so that stdout holds results only."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from sdtui.diffusion.events import Blocked, Decoding, Encoding, Loading, LoadingStage, PipelineEvent, Step
from sdtui.engine.protocol import Cancelled, Failed, Finished, Progress, Queued

if TYPE_CHECKING:
    import rich.progress

LOADING: dict[LoadingStage, str] = {
    "compiling": "compiling {}",
    "specialising": "preparing {} for this machine",
    "loading": "loading {}",
    "ready": "loading {}",
}

JobMessage = Queued | Progress | Finished | Failed | Cancelled


class Report(Protocol):
    """Follows some jobs."""

    def hear(self, message: JobMessage) -> None:
        """One of the jobs came further."""


@contextlib.contextmanager
def report_on(jobs: Collection[str], *, as_json: bool) -> Iterator[Report]:
    """A report on ``jobs``: JSON lines, a progress bar on a terminal, or nothing."""
    numbers = {job: number for number, job in enumerate(jobs, start=1)}
    if as_json:
        yield EventLines(numbers)
    elif sys.stderr.isatty():
        with contextlib.closing(Bar(numbers)) as bar:
            yield bar
    else:
        yield Silence()


class Silence:
    """Nobody looks at how far it is."""

    def __init__(self) -> None:
        self._notes = Notes()

    def hear(self, message: JobMessage) -> None:
        """Say only what the picture does not show by itself."""
        match message:
            case Progress(event=Blocked() | Encoding() as event):
                self._notes.say(event.note)


class Notes:
    """Sentences for the person, each said once, however many pictures it is about."""

    def __init__(self) -> None:
        self._said = {""}

    def say(self, note: str) -> None:
        if note not in self._said:
            self._said.add(note)
            print("note:", note, file=sys.stderr)


class EventLines:
    """One JSON object a line: ``event``, ``picture`` of ``pictures``, and what the event knows."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers

    def hear(self, message: JobMessage) -> None:
        line = {"event": "", "picture": self._numbers[message.job], "pictures": len(self._numbers)}
        print(json.dumps(line | _facts(message), ensure_ascii=False), file=sys.stderr, flush=True)


def _facts(message: JobMessage) -> dict[str, Any]:
    match message:
        case Queued(ahead=ahead):
            return {"event": "queued", "ahead": ahead}
        case Progress(event=event, memory=memory):
            facts = {
                name: value for name, value in msgspec.structs.asdict(event).items() if name != "preview"
            }
            if isinstance(event, Step):
                facts |= {"rate": event.rate, "remaining": event.remaining}
            return {"event": type(event).__name__.lower(), **facts, "memory": msgspec.structs.asdict(memory)}
        case Finished(result=result):
            return {"event": "finished", "path": result.path}
        case Failed(failure=failure):
            return {"event": "failed", **msgspec.structs.asdict(failure)}
        case Cancelled():
            return {"event": "cancelled"}


class Bar:
    """A progress bar that goes when its picture is there."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers
        self._bar: rich.progress.Progress | None = None
        self._notes = Notes()

    def hear(self, message: JobMessage) -> None:
        match message:
            case Queued(ahead=ahead):
                if self._numbers[message.job] == 1:
                    self._show(message.job, f"waiting, {ahead} ahead" if ahead else "starting", None)
            case Progress(event=event):
                if isinstance(event, Loading | Encoding | Blocked) and event.note:
                    self.close()
                    self._notes.say(event.note)
                self._show(message.job, stage(event), event if isinstance(event, Step) else None)
            case _:
                self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, job: str, what: str, step: Step | None) -> None:
        if self._bar is None:
            self._bar = _make_bar()
            self._bar.add_task("", total=None, figures="")
            self._bar.start()
        several = f"{self._numbers[job]}/{len(self._numbers)} " if len(self._numbers) > 1 else ""
        figures = (
            f"{step.index}/{step.total}  {step.rate:.1f} it/s  {clock(step.remaining)} left" if step else ""
        )
        task = self._bar.tasks[0]
        self._bar.update(
            task.id,
            description=several + what,
            figures=figures,
            total=step.total if step else task.total,
            completed=step.index if step else task.completed,
        )


def _make_bar() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )


def stage(event: PipelineEvent) -> str:
    """What is going on, as people read it."""
    match event:
        case Loading(network=network, stage=stage, expected=expected):
            doing = LOADING[stage].format(network.replace("_", " "))
            return f"{doing}, last time {clock(expected)}" if expected and expected >= 1 else doing
        case Encoding():
            return "reading the prompt"
        case Step():
            return "denoising"
        case Decoding():
            return "decoding"
        case Blocked():
            return "blocked by the safety checker"


def clock(seconds: float) -> str:
    """``0:07``, ``12:40``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
