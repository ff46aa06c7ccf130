"""What the interface knows about the engine: one immutable value, and how messages change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from sdtui.conversion import ConversionRequest
from sdtui.engine.protocol import (
    Cancelled,
    Conversion,
    EngineMessage,
    Failed,
    Finished,
    Gauge,
    Job,
    Memory,
    Progress,
    Queued,
    Reordered,
    Snapshot,
    Warmth,
)
from sdtui.request import GenerationRequest

Link = Literal["starting", "on", "lost", "asleep"]
MUCH = 2**29
"""Bytes by which the machine's memory changes before an idle studio shows it: other programs never rest."""
TRACE = 120
"""Memory readings kept for the graph: a minute, at two a second."""


class EngineView(msgspec.Struct, frozen=True):
    """The engine as seen from here.

    ``link`` is the connection; the engine is ``lost`` when it went away or did not come, ``asleep`` when
    it was ended to free its memory. ``jobs`` are
    those not done yet, in their order; the ones not sent yet are among them; so are ``conversions``.
    ``trace`` holds the engine's resident bytes over time.
    """

    link: Link = "starting"
    warmth: Warmth = "cold"
    model: str | None = None
    runtime: str | None = None
    memory: Memory | None = None
    trace: tuple[int, ...] = ()
    jobs: tuple[Job, ...] = ()
    conversions: tuple[Conversion, ...] = ()

    @property
    def running(self) -> Job | None:
        """The job that is being worked on."""
        return next((job for job in self.jobs if job.state == "running"), None)

    @property
    def waiting(self) -> tuple[Job, ...]:
        """The jobs that wait for their turn."""
        return tuple(job for job in self.jobs if job.state == "queued")

    @property
    def converting(self) -> Conversion | None:
        """The conversion that is being worked on, or the next one."""
        running = (each for each in self.conversions if each.state == "running")
        return next(running, next(iter(self.conversions), None))

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.jobs and not self.conversions

    def job(self, name: str) -> Job | None:
        """The job of that name, unless it is done."""
        return next((job for job in self.jobs if job.job == name), None)

    def submitted(self, name: str, request: GenerationRequest) -> EngineView:
        """This view with one more job at the end of the queue, unless it is there already."""
        if self.job(name):
            return self
        return replace(self, jobs=(*self.jobs, Job(name, request, "queued")))

    def asked(self, name: str, request: ConversionRequest) -> EngineView:
        """This view with one more conversion at the end of its queue."""
        return self._converting(Conversion(name, request, "queued"))

    def connected(self) -> EngineView:
        """The engine answers."""
        return replace(self, link="on")

    def connecting(self) -> EngineView:
        """The engine is being started, or sought."""
        return replace(self, link="starting")

    def disconnected(self) -> EngineView:
        """The engine is gone, and with it every job."""
        return replace(self, link="lost", warmth="cold", runtime=None, memory=None, jobs=(), conversions=())

    def ended(self) -> EngineView:
        """The engine is gone as it was asked to; the next job starts it again."""
        return replace(self.disconnected(), link="asleep")

    def hear(self, message: EngineMessage) -> EngineView:
        """The view after a message."""
        match message:
            case Snapshot():
                return self._snapshot(message)
            case Queued(job, request):
                return self.submitted(job, request)
            case Reordered(jobs):
                return self._reordered(jobs)
            case Progress(job, event, memory):
                changed = (
                    replace(known, state="running", progress=event) if known.job == job else known
                    for known in self.jobs
                )
                return replace(self, jobs=tuple(changed), warmth="busy")._measured(memory)
            case Conversion():
                return self._converting(message)
            case Gauge(memory, warmth):
                return replace(self, warmth=warmth)._measured(memory)
            case Finished(job, _, result):
                return replace(self._without(job), model=result.model, runtime=result.runtime)
            case Failed(job) | Cancelled(job):
                return self._without(job)

    def _snapshot(self, snapshot: Snapshot) -> EngineView:
        in_engine = tuple(job for job in snapshot.jobs if job.state in ("queued", "running"))
        named = {job.job for job in in_engine}
        # What was asked for while the engine was starting is on its way, and not in its list yet.
        unsent = tuple(job for job in self.waiting if job.job not in named)
        known = {each.job for each in snapshot.conversions}
        unasked = tuple(each for each in self.conversions if each.state == "queued" and each.job not in known)
        return replace(
            self,
            link="on",
            warmth=snapshot.warmth,
            model=snapshot.model,
            runtime=snapshot.runtime,
            jobs=(*in_engine, *unsent),
            conversions=(*filter(_unfinished, snapshot.conversions), *unasked),
        )._measured(snapshot.memory)

    def _reordered(self, names: Sequence[str]) -> EngineView:
        """The waiting jobs in the engine's order, then those that it does not know yet."""
        turns = {name: turn for turn, name in enumerate(names)}
        running = (job for job in self.jobs if job.state != "queued")
        waiting = sorted(self.waiting, key=lambda job: turns.get(job.job, len(turns)))
        return replace(self, jobs=(*running, *waiting))

    def _converting(self, conversion: Conversion) -> EngineView:
        """A conversion stands like this now."""
        known = {each.job: each for each in self.conversions} | {conversion.job: conversion}
        return replace(self, conversions=tuple(filter(_unfinished, known.values())))

    def _measured(self, memory: Memory) -> EngineView:
        # A gauge that reads about the same while nothing happens is no news: the screen stays still.
        if self.warmth != "busy" and self.memory and not _is_news(memory, self.memory):
            return self
        return replace(self, memory=memory, trace=(*self.trace, memory.engine)[-TRACE:])

    def _without(self, name: str) -> EngineView:
        return replace(self, jobs=tuple(job for job in self.jobs if job.job != name))


def _unfinished(conversion: Conversion) -> bool:
    return conversion.state in ("queued", "running")


def _is_news(memory: Memory, shown: Memory) -> bool:
    """Whether people would want to see it: another tenth of the engine's, or much of the machine's."""
    tenths = [
        [round(count / 2**30, 1) for count in (each.engine, each.engine_peak)] for each in (memory, shown)
    ]
    return tenths[0] != tenths[1] or abs(memory.machine - shown.machine) >= MUCH
