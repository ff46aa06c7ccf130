"""What client, host and worker say to each other. Light: the interface imports this.

A frame is a 4-byte big-endian length and one MessagePack message (msgspec tagged unions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sdtui.conversion import ConversionReport, ConversionRequest, Forecast, NetworkReport
from sdtui.conversion import Stage as ConversionStage
from sdtui.diffusion.events import PipelineEvent, Seconds
from sdtui.request import GenerationRequest

if TYPE_CHECKING:
    from sdtui.history import PictureRecord

VERSION = 3

State = Literal["queued", "running", "finished", "failed", "cancelled"]
Warmth = Literal["cold", "loading", "warm", "busy"]
Way = Literal["up", "down", "first"]


# ---- a client asks -------------------------------------------------------------------------


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Queue one picture (``count`` 1, seed drawn). ``job`` is the client's own unique name for it."""

    job: str
    request: GenerationRequest


class Convert(msgspec.Struct, frozen=True, tag="convert"):
    """Queue a conversion, whose files are absolute paths. ``job`` is the client's own unique name for it."""

    job: str
    request: ConversionRequest


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop a job, a picture or a conversion, running or queued."""

    job: str


class Move(msgspec.Struct, frozen=True, tag="move"):
    """Have a picture that waits made earlier or later: past its neighbour, or before all that wait."""

    job: str
    way: Way


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Send me a Snapshot now, and every job's events and every conversion's changes from here on."""


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Send me one Snapshot."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Cancel everything and exit."""


ClientMessage = Submit | Convert | Cancel | Move | Watch | Ask | Stop


# ---- the engine answers --------------------------------------------------------------------


class Failure(msgspec.Struct, frozen=True):
    """An SdtuiError, across the socket."""

    what: str
    why: str
    remedy: str


class Memory(msgspec.Struct, frozen=True):
    """Bytes: resident in the engine's processes now and at most, used and present in the machine."""

    engine: int
    engine_peak: int
    machine: int
    machine_total: int


class Result(msgspec.Struct, frozen=True):
    """A finished picture: where its PNG is, its history id, and how it was made."""

    path: str
    picture: int
    width: int
    height: int
    model: str
    runtime: str
    seconds: Seconds
    peak_memory_bytes: int

    @classmethod
    def of(cls, record: PictureRecord) -> Result:
        """The result as the history remembers it."""
        return cls(
            path=record.path,
            picture=record.id,
            width=record.width,
            height=record.height,
            model=record.origin.model,
            runtime=record.origin.runtime,
            seconds=msgspec.convert(record.seconds, Seconds),
            peak_memory_bytes=record.peak_memory_bytes,
        )


class Job(msgspec.Struct, frozen=True):
    """A job as the engine knows it; ``result`` when it is finished, ``failure`` when it failed."""

    job: str
    request: GenerationRequest
    state: State
    progress: PipelineEvent | None = None
    result: Result | None = None
    failure: Failure | None = None


class Conversion(msgspec.Struct, frozen=True, tag="conversion"):
    """A conversion as the engine knows it; sent whenever anything of it changes.

    ``forecast``, ``stage`` and ``networks`` are there when it has come so far, ``report`` when it is
    finished, ``failure`` when it failed.
    """

    job: str
    request: ConversionRequest
    state: State
    forecast: Forecast | None = None
    stage: ConversionStage | None = None
    networks: list[NetworkReport] = []
    report: ConversionReport | None = None
    failure: Failure | None = None


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The engine's first words to every client; their form never changes between versions.

    ``version`` is that of the messages, ``release`` sdtui's; ``busy`` says that a job is waiting or
    running, so that only an idle engine of another version is replaced.
    """

    version: int
    release: str
    pid: int
    busy: bool


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """The engine at one moment: its process ids, warmth, model, jobs, conversions and memory.

    ``jobs`` holds those that ended lately, oldest first, then the running one, then the queue in order;
    ``conversions`` are in the order in which they came, those that ended lately too.
    """

    version: int
    pid: int
    worker_pid: int | None
    warmth: Warmth
    model: str | None
    runtime: str | None
    jobs: list[Job]
    memory: Memory
    conversions: list[Conversion] = []


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """A job was accepted; ``ahead`` jobs come before it."""

    job: str
    request: GenerationRequest
    ahead: int


class Reordered(msgspec.Struct, frozen=True, tag="reordered"):
    """The pictures that wait are made in this order from now on."""

    jobs: list[str]


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """A running job came one event further."""

    job: str
    event: PipelineEvent
    memory: Memory


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """A picture is on disk and in the history."""

    job: str
    request: GenerationRequest
    result: Result


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A job ended without a picture; ``failure`` says why and what to do."""

    job: str
    failure: Failure


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    """A job was stopped on request."""

    job: str


class Gauge(msgspec.Struct, frozen=True, tag="gauge"):
    """Twice a second while someone watches: memory and warmth."""

    memory: Memory
    warmth: Warmth


EngineMessage = Snapshot | Queued | Reordered | Progress | Finished | Failed | Cancelled | Conversion | Gauge


# ---- host and worker -----------------------------------------------------------------------


class Advanced(msgspec.Struct, frozen=True, tag="advanced"):
    """The worker's job came one event further."""

    job: str
    event: PipelineEvent


Order = Submit | Cancel
WorkerMessage = Advanced | Finished | Failed | Cancelled
