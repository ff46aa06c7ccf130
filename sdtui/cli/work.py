"""Having pictures made: by the engine, or in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Mapping

from sdtui.cli.progress import Report
from sdtui.diffusion.events import PipelineEvent
from sdtui.engine.protocol import (
    Cancel,
    Cancelled,
    Failed,
    Failure,
    Finished,
    Progress,
    Queued,
    Result,
    Submit,
    Watch,
)
from sdtui.errors import SdtuiError
from sdtui.request import GenerationRequest

CANCELLED = Failure("the picture was not made", "somebody cancelled it", "generate it again")

Jobs = Mapping[str, GenerationRequest]


class JobError(SdtuiError):
    """The engine could not make a picture."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what, failure.why, failure.remedy)


def in_engine(jobs: Jobs, report: Report) -> Generator[Finished]:
    """The finished jobs as the engine makes them, in order; it is started where there is none.

    Whatever ends this early (an interrupt, a failure) cancels the jobs that are left. Raises
    :class:`JobError`, :class:`~sdtui.engine.client.EngineError`.
    """
    from sdtui.engine.client import EngineClient

    left = dict(jobs)
    with contextlib.closing(EngineClient.connect()) as client:
        client.send(Watch())
        try:
            for job, request in jobs.items():
                client.send(Submit(job, request))
            while left:
                message = client.receive()
                if not isinstance(message, Queued | Progress | Finished | Failed | Cancelled):
                    continue
                if message.job not in left:
                    continue
                report.hear(message)
                match message:
                    case Finished():
                        del left[message.job]
                        yield message
                    case Failed(job=job, failure=failure):
                        del left[job]
                        raise JobError(failure)
                    case Cancelled(job=job):
                        del left[job]
                        raise JobError(
                            Failure("the picture was not made", "it was cancelled", "generate it again")
                        )
        finally:
            with contextlib.suppress(SdtuiError):
                for job in left:
                    client.send(Cancel(job))


def in_process(jobs: Jobs, report: Report) -> Generator[Finished]:
    """The finished jobs, made here and now. Raises SdtuiError."""
    from sdtui.engine.job import Maker
    from sdtui.engine.memory import Meter

    meter = Meter()
    with contextlib.closing(Maker()) as maker:
        for job, request in jobs.items():

            def on_event(event: PipelineEvent, job: str = job) -> None:
                report.hear(Progress(job, event, meter.read([os.getpid()])))

            record = maker.make(job, request, on_event, lambda: False)
            finished = Finished(job, record.request, Result.of(record))
            report.hear(finished)
            yield finished
