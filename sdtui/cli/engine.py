"""``sdtui engine``: the resident process."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from sdtui.conversion_page import clock, stage_words
from sdtui.engine.client import EngineClient, NoEngine
from sdtui.engine.protocol import Ask, Conversion, Snapshot

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


def _snapshot() -> Snapshot | None:
    try:
        client = EngineClient.connect(start=False)
    except NoEngine:
        return None
    try:
        client.send(Ask())
        message = client.receive(timeout=10)
    finally:
        client.close()
    assert isinstance(message, Snapshot)
    return message


def _lines(snapshot: Snapshot) -> list[str]:
    memory, model = snapshot.memory, snapshot.model or "no model loaded"
    queue = [job for job in snapshot.jobs if job.state in ("running", "queued")]
    conversions = [each for each in snapshot.conversions if each.state in ("running", "queued")]
    gib = 2**30
    return [
        f"engine   {snapshot.warmth}, process {snapshot.pid}",
        f"model    {model}" + (f", {snapshot.runtime}" if snapshot.runtime else ""),
        f"memory   {memory.engine / gib:.1f} GiB, at most {memory.engine_peak / gib:.1f};"
        f" machine {memory.machine / gib:.1f} of {memory.machine_total / gib:.1f}",
        f"queue    {len(queue) + len(conversions) or 'empty'}",
        *(f"  {job.state:8} {job.request.prompt}" for job in queue),
        *(f"  {each.state:8} {_conversion(each)}" for each in conversions),
    ]


def _conversion(conversion: Conversion) -> str:
    told = f"convert {conversion.request.name}"
    if (stage := conversion.stage) is not None and conversion.state == "running":
        told += f", {stage_words(stage)}, {stage.fraction:.0%}"
        told += "" if stage.remaining is None else f", {clock(stage.remaining)} left"
    return told
