"""Where the host has its jobs made: one worker process at most, started and ended as needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from sdtui.diffusion.events import Loading, PipelineEvent
from sdtui.engine.memory import resident
from sdtui.engine.protocol import (
    Advanced,
    Cancel,
    Cancelled,
    Failed,
    Failure,
    Finished,
    Job,
    Result,
    Submit,
    Warmth,
)
from sdtui.engine.queue import Outcome
from sdtui.engine.supervisor import WorkerProcess, why_it_died
from sdtui.engine.wear import ENDURANCE, Endurance, Wear
from sdtui.files import reason

CANCEL_SECONDS = 4.0
"""How long a worker may take to honour a cancel before it is killed: it may be stuck in a load."""

log = logging.getLogger(__name__)


class Workbench:
    """Makes one job at a time. ``log_file`` is where a person is sent when a worker dies oddly.

    A worker that has reached its ``endurance`` is replaced by a new one.
    """

    def __init__(self, log_file: Path, endurance: Endurance = ENDURANCE) -> None:
        self._log_file = log_file
        self._endurance = endurance
        self._wear = Wear(endurance)
        self._worker: WorkerProcess | None = None
        self._job: str | None = None
        self._interrupted: str | None = None
        self._warm = False
        self._made: Result | None = None
        self._last_use = 0.0

    @property
    def worker_pid(self) -> int | None:
        return self._worker.pid if self._worker else None

    @property
    def warmth(self) -> Warmth:
        if self._job is None:
            return "warm" if self._warm else "cold"
        return "busy" if self._warm else "loading"

    @property
    def made(self) -> Result | None:
        """The last picture of the worker that is there now: it tells the model and the runtime."""
        return self._made

    async def ready(self) -> WorkerProcess:
        """A worker that lives, a new one where there is none. Raises OSError."""
        if self._worker is not None and self._wear.worn:
            log.info("the worker has done enough and is replaced")
            self._worker.kill()
            await self.clear()
        if self._worker is None or not self._worker.alive:
            await self.clear()
            self._worker = await WorkerProcess.start()
            self._wear = Wear(self._endurance)
            self._used()
        return self._worker

    async def make(self, job: Job, on_event: Callable[[PipelineEvent], None]) -> Outcome:
        """Have the worker make a picture; ``on_event`` hears how far it is."""
        self._job = job.job
        try:
            return await self._attempt(job, on_event)
        except OSError as error:
            return Failed(job.job, Failure("the picture was not made", reason(error), "generate it again"))
        finally:
            self._job = None
            self._used()

    async def _attempt(self, job: Job, on_event: Callable[[PipelineEvent], None]) -> Outcome:
        worker = await self.ready()
        if self._interrupted == job.job:
            return Cancelled(job.job)
        worker.send(Submit(job.job, job.request))
        while message := await worker.receive():
            match message:
                case Advanced(event=event):
                    self._warm = not isinstance(event, Loading)
                    on_event(event)
                case Finished(result=result):
                    self._made = result
                    self._wear.made(f"{result.model} {result.runtime}", resident([worker.pid]))
                    return message
                case Failed() | Cancelled():
                    return message
        status = await self.clear()
        if self._interrupted == job.job:
            return Cancelled(job.job)
        log.error("the worker ended with status %s", status)
        return Failed(job.job, why_it_died(status, self._log_file))

    def interrupt(self) -> None:
        """Stop the job that is being made: between two steps, or with the worker when that takes long."""
        self._interrupted = self._job
        if self._worker is not None and self._job is not None:
            self._worker.send(Cancel(self._job))
        asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._kill_stuck, self._job)

    def _kill_stuck(self, job: str | None) -> None:
        if job is not None and self._job == job and self._worker is not None:
            log.warning("the worker is stuck and killed")
            self._worker.kill()

    async def unload(self, after: float) -> bool:
        """End a worker that is dead, or has been idle for ``after`` seconds; True when there was one."""
        if self._worker is None or self._job is not None:
            return False
        idle = asyncio.get_running_loop().time() - self._last_use
        if self._worker.alive and idle < after:
            return False
        await self.clear()
        return True

    async def clear(self) -> int:
        """End the worker, at once when it has nothing to lose; returns its exit status."""
        worker, self._worker = self._worker, None
        self._warm, self._made = False, None
        if worker is None:
            return 0
        if self._job is None:
            worker.kill()
        return await worker.end()

    def _used(self) -> None:
        self._last_use = asyncio.get_running_loop().time()
