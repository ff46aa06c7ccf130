"""``sdtui history``: every picture ever made."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import msgspec
import typer

from sdtui.cli.asking import agreed
from sdtui.cli.model_facts import megabytes
from sdtui.history import History, PictureRecord, trash
from sdtui.history.store import HistoryError
from sdtui.settings import places

app = typer.Typer(help="Every picture ever made.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object per picture.")]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="How many, the newest first.")]


@app.command("list")
def list_(limit: Limit = 20, json: Json = False) -> None:
    """List the latest pictures."""
    with History(places().history_file) as history:
        _print(history.recent(limit), json)


@app.command()
def search(text: str, limit: Limit = 20, json: Json = False) -> None:
    """Find pictures by words of their prompts."""
    with History(places().history_file) as history:
        _print(history.search(text, limit), json)


@app.command()
def show(identity: Annotated[int, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show one picture's request and how it was made."""
    with History(places().history_file) as history:
        record = history.get(identity)
    if record is None:
        raise HistoryError(
            f"there is no picture {identity}", "nothing has that id", "see `sdtui history list`"
        )
    facts = _facts(record)
    if json:
        print(jsonlib.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):18} {value}")


@app.command()
def empty_trash(
    days: Annotated[
        float, typer.Option(metavar="N", min=0, help="Only what has been there for so many days.")
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Delete the pictures in the trash for good, and kept inputs that no request names any more."""
    with History(places().history_file) as history:
        count, size = history.in_trash()
    if not yes and count:
        old = f" that have been there for {days:g} days" if days else ""
        if not agreed(
            f"Delete the pictures in the trash{old} for good ({count} in all, {megabytes(size)})?",
            "the trash is not emptied",
        ):
            print("kept")
            return
    emptied = trash.empty_trash(places(), days)
    if json:
        print(msgspec.json.encode(emptied).decode())
    else:
        print(f"{emptied.pictures} pictures and {emptied.inputs} inputs are gone, {megabytes(emptied.bytes)}")


def _print(records: list[PictureRecord], json: bool) -> None:
    for record in records:
        if json:
            print(jsonlib.dumps(_facts(record), ensure_ascii=False))
        else:
            moment = record.created.astimezone().strftime("%Y-%m-%d %H:%M")
            prompt = " ".join(record.request.prompt.split())
            print(f"{record.id:>6}  {moment}  {record.request.seed:>10}  {record.origin.model}  {prompt}")


def _facts(record: PictureRecord) -> dict[str, object]:
    """Everything known of a picture, flat, with the names that ``generate --json`` uses."""
    request = msgspec.to_builtins(record.request)
    for field in ("model", "count", "width", "height"):  # of the request; the picture's own follow
        del request[field]
    return {
        "id": record.id,
        "path": record.path,
        "created": record.created.isoformat(timespec="seconds"),
        "width": record.width,
        "height": record.height,
        **request,
        "model": record.origin.model,
        "model_hash": record.origin.model_hash,
        "runtime": record.origin.runtime,
        "version": record.origin.version,
        "seconds": record.seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
    }
