"""``sdtui bench``: what a picture takes on this machine."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
import typer

from sdtui.bench.benchmark import Benchmark, Variant, benchmark, checkpoint_of, request_for
from sdtui.bench.errors import MeasurementError
from sdtui.bench.page import busy_words, page
from sdtui.bench.page import markdown as table
from sdtui.bundle import Bundle, locate
from sdtui.cli.convert_progress import report_on
from sdtui.cli.errors import CommandLineError
from sdtui.request import ComputeUnits, Precision
from sdtui.settings import load_settings


def bench(
    model: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="Default: the settings', else the built-in.")
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of each picture.")] = 20,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Pictures each way.")] = 3,
    compute_units: Annotated[
        str | None, typer.Option(metavar="A,B,...", help=f"Each of: {', '.join(get_args(ComputeUnits))}.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="A,B,...", help=f"Each of: {', '.join(get_args(Precision))}.")
    ] = None,
    against: Annotated[
        Literal["diffusers"] | None, typer.Option(help="Run the same weights there, and compare.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Their diffusers folder, for --against.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table, to publish.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Progress as JSON lines on stderr.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Measure load, steps, a whole picture and memory, each way in a process of its own."""
    if json and markdown:
        raise CommandLineError("the command line is wrong", "--json is not --markdown", "choose one of them")
    if checkpoint is not None and against is None:
        raise CommandLineError("the command line is wrong", "--checkpoint is for --against", "add --against")
    settings = load_settings()
    variants = [
        Variant(units, each)
        for units, each in product(
            _chosen("compute units", compute_units, get_args(ComputeUnits), settings.compute_units),
            _chosen("precision", precision, get_args(Precision), settings.precision),
        )
    ]
    bundle = Bundle.open(locate(model or settings.model))
    request = request_for(bundle, steps)
    folder = checkpoint_of(bundle, checkpoint) if against else None
    with report_on(as_json=events) as progress:
        found = benchmark(
            bundle,
            request,
            variants,
            repeat=repeat,
            checkpoint=folder,
            on_stage=progress.hear,
            complaints=sys.stderr if debug else subprocess.DEVNULL,
        )
    if json:
        print(msgspec.json.encode(_told(found)).decode(), flush=True)
    else:
        print(*(table if markdown else page)(found), sep="\n", flush=True)
    if found.busy and markdown:
        print(f"note: {busy_words(found)}", file=sys.stderr)
    if found.failures:
        failure = found.failures[0]
        raise MeasurementError(f"{failure.variant} was not measured", failure.told, "leave it out")


Choice = TypeVar("Choice", bound=str)


def _chosen(what: str, given: str | None, known: tuple[Choice, ...], default: Choice) -> list[Choice]:
    """The choices in a list with commas, each once. Raises CommandLineError."""
    if given is None:
        return [default]
    words = list(dict.fromkeys(word.strip() for word in given.split(",")))
    if wrong := [word for word in words if word not in known]:
        raise CommandLineError(
            f"{what} is not valid", f"{wrong[0]!r} is unknown", f"choose of {', '.join(known)}"
        )
    return [each for word in words for each in known if each == word]


def _told(found: Benchmark) -> dict[str, Any]:
    """The object that ``--json`` prints: the figures, and what follows from them."""
    facts: dict[str, Any] = msgspec.to_builtins(found)
    for told, each in zip(facts["measurements"], found.measurements, strict=True):
        del told["type"]
        told |= {"overhead": each.overhead, "rate": each.rate}
    return facts | {"machine": {**facts["machine"], "name": found.machine.name}, "busy": found.busy}
