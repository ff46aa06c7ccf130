"""``sdtui engine``: the resident process."""

from __future__ import annotations

import contextlib
from typing import Annotated

import msgspec
import typer

from sdtui.conversion_page import clock, stage_words
from sdtui.engine.client import EngineClient, EngineError, NoEngine
from sdtui.engine.protocol import Ask, Cancel, Conversion, Move, Snapshot, Way

app = typer.Typer(help="The resident process that makes the pictures.")


@app.command()
def status(json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Show whether the engine runs, its model, its memory and its queue."""
    snapshot = _snapshot()
    if json:
        print(msgspec.json.encode(snapshot or {}).decode())
    elif snapshot is None:
        print("no engine is running; it starts when you generate")
    else:
        print("\n".join(_lines(snapshot)))


@app.command()
def stop() -> None:
    """End the engine and everything it is doing."""
    print("the engine has stopped" if EngineClient.stop() else "no engine is running")


Place = Annotated[int, typer.Argument(metavar="PLACE", min=1, help="Its number in `sdtui engine status`.")]


@app.command()
def move(place: Place, way: Annotated[Way, typer.Argument(help="Where to.")]) -> None:
    """Have a waiting picture made earlier, later, or before all that wait."""
    with contextlib.closing(EngineClient.connect(start=False)) as client:
        client.send(Move(_waiting(_asked(client), place), way))
        print("\n".join(_queue(_asked(client))))


@app.command()
def cancel(place: Place) -> None:
    """Take a waiting picture out of the queue."""
    with contextlib.closing(EngineClient.connect(start=False)) as client:
        client.send(Cancel(_waiting(_asked(client), place)))
        print("\n".join(_queue(_asked(client))))


def _snapshot() -> Snapshot | None:
    try:
        client = EngineClient.connect(start=False)
    except NoEngine:
        return None
    with contextlib.closing(client):
        return _asked(client)


def _asked(client: EngineClient) -> Snapshot:
    client.send(Ask())
    message = client.receive(timeout=10)
    assert isinstance(message, Snapshot)
    return message


def _waiting(snapshot: Snapshot, place: int) -> str:
    """The name of the job at a place among those that wait."""
    waiting = [job.job for job in snapshot.jobs if job.state == "queued"]
    if place > len(waiting):
        count = {0: "none waits", 1: "one waits"}.get(len(waiting), f"{len(waiting)} wait")
        raise EngineError(f"there is no picture {place}", count, "see `sdtui engine status`")
    return waiting[place - 1]


def _lines(snapshot: Snapshot) -> list[str]:
    memory, model = snapshot.memory, snapshot.model or "no model loaded"
    gib = 2**30
    return [
        f"engine   {snapshot.warmth}, process {snapshot.pid}",
        f"model    {model}" + (f", {snapshot.runtime}" if snapshot.runtime else ""),
        f"memory   {memory.engine / gib:.1f} GiB, at most {memory.engine_peak / gib:.1f};"
        f" machine {memory.machine / gib:.1f} of {memory.machine_total / gib:.1f}",
        *_queue(snapshot),
    ]


def _queue(snapshot: Snapshot) -> list[str]:
    """What runs, what waits with its place, and the conversions."""
    running = [job.request.prompt for job in snapshot.jobs if job.state == "running"]
    waiting = [job.request.prompt for job in snapshot.jobs if job.state == "queued"]
    conversions = [each for each in snapshot.conversions if each.state in ("running", "queued")]
    return [
        f"queue    {len(running) + len(waiting) + len(conversions) or 'empty'}",
        *(f"      running  {prompt}" for prompt in running),
        *(f"  {place:>3} queued   {prompt}" for place, prompt in enumerate(waiting, 1)),
        *(f"      {each.state:8} {_conversion(each)}" for each in conversions),
    ]


def _conversion(conversion: Conversion) -> str:
    told = f"convert {conversion.request.name}"
    if (stage := conversion.stage) is not None and conversion.state == "running":
        told += f", {stage_words(stage)}, {stage.fraction:.0%}"
        told += "" if stage.remaining is None else f", {clock(stage.remaining)} left"
    return told
