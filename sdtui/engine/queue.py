"""The engine's jobs: waiting, running and lately ended; what waits survives a kill."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

from sdtui.diffusion.events import PipelineEvent
from sdtui.engine.protocol import Cancelled, Failed, Failure, Finished, Job, Way
from sdtui.errors import SdtuiError
from sdtui.files import write_atomically
from sdtui.request import GenerationRequest

REMEMBERED = 100
"""How many ended jobs a reconnecting client is still told about."""

KILLED = Failure(
    what="the picture was not made",
    why="the engine was killed while it worked on it",
    remedy="generate it again",
)

Outcome = Finished | Failed | Cancelled

log = logging.getLogger(__name__)


class JobQueue:
    """First come, first served. ``file`` holds what is waiting or running, as JSON."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting: OrderedDict[str, Job] = OrderedDict()
        self._running: Job | None = None
        self._ended: OrderedDict[str, Job] = OrderedDict()

    @property
    def running(self) -> Job | None:
        return self._running

    @property
    def idle(self) -> bool:
        return self._running is None and not self._waiting

    def jobs(self) -> list[Job]:
        """Ended jobs, oldest first; the running one; those that wait, in order."""
        running = [self._running] if self._running else []
        return [*self._ended.values(), *running, *self._waiting.values()]

    def find(self, job: str) -> Job | None:
        return next((found for found in self.jobs() if found.job == job), None)

    def unfinished(self) -> list[str]:
        """The running job's name, then those that wait, in order."""
        return [job.job for job in self.jobs() if job.job not in self._ended]

    def ahead(self, job: str) -> int:
        """How many jobs are made before this one."""
        waiting = list(self._waiting)
        return waiting.index(job) + (self._running is not None) if job in self._waiting else 0

    def put(self, job: str, request: GenerationRequest) -> None:
        self._waiting[job] = Job(job, request, "queued")

    @property
    def waiting(self) -> list[str]:
        """The names of the jobs that wait, in order."""
        return list(self._waiting)

    def move(self, job: str, way: Way) -> bool:
        """Put a waiting job elsewhere among those that wait; False when it stays where it is."""
        before = self.waiting
        if job not in before:
            return False
        index = before.index(job)
        target = {"up": index - 1, "down": index + 1, "first": 0}[way]
        if target == index or not 0 <= target < len(before):
            return False
        before.insert(target, before.pop(index))
        self._waiting = OrderedDict((name, self._waiting[name]) for name in before)
        return True

    def take(self) -> Job | None:
        """The next job, which is running from now on."""
        if self._running is None and self._waiting:
            _, job = self._waiting.popitem(last=False)
            self._running = msgspec.structs.replace(job, state="running")
        return self._running

    def advance(self, event: PipelineEvent) -> None:
        """The running job came one event further."""
        if self._running is not None:
            self._running = msgspec.structs.replace(self._running, progress=event)

    def end(self, outcome: Outcome) -> None:
        """A job, running or waiting, has ended."""
        job = self.find(outcome.job)
        if job is None or job.job in self._ended:
            return
        self._waiting.pop(job.job, None)
        if self._running is not None and self._running.job == job.job:
            self._running = None
        self._ended[job.job] = _ended(job, outcome)
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def put_back(self) -> None:
        """The running job waits again, first in the queue: it is not its fault that it is stopped."""
        if self._running is not None:
            job = self._running
            self._running = None
            self._waiting[job.job] = Job(job.job, job.request, "queued")
            self._waiting.move_to_end(job.job, last=False)

    def save(self) -> None:
        """Write what waits and runs; a disk that is full costs the file, not the work."""
        jobs = [Job(job.job, job.request, job.state) for job in self.jobs() if job.job not in self._ended]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, msgspec.json.encode(jobs))
        except OSError as error:
            log.error("the queue cannot be written to %s: %s", self._file, error)

    def restore(self, finished: Callable[[str], Finished | None]) -> None:
        """Read what an engine before this one left.

        What was running then has failed, unless ``finished`` knows that it got through all the same.
        """
        try:
            jobs = msgspec.json.decode(self._file.read_bytes(), type=list[Job])
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError, msgspec.DecodeError, SdtuiError) as error:
            log.error("the queue in %s cannot be read: %s", self._file, error)
            with contextlib.suppress(OSError):  # keep it: there are prompts in it
                self._file.replace(self._file.with_suffix(".broken"))
            return
        for job in jobs:
            self._waiting[job.job] = Job(job.job, job.request, "queued")
            if outcome := finished(job.job) or (Failed(job.job, KILLED) if job.state == "running" else None):
                self.end(outcome)


def _ended(job: Job, outcome: Outcome) -> Job:
    match outcome:
        case Finished(request=request, result=result):
            return Job(job.job, request, "finished", result=result)
        case Failed(failure=failure):
            return Job(job.job, job.request, "failed", failure=failure)
        case Cancelled():
            return Job(job.job, job.request, "cancelled")


def outcome_of(job: Job) -> Outcome | None:
    """How a job ended, or None while it has not: what a client that missed it is told."""
    if job.result is not None:
        return Finished(job.job, job.request, job.result)
    if job.failure is not None:
        return Failed(job.job, job.failure)
    return Cancelled(job.job) if job.state == "cancelled" else None
