"""``sdtui compress``: a model made smaller, with bits where they do most good."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sdtui.bundle import locate
from sdtui.cli.compress_goal import goal_of
from sdtui.cli.convert_progress import report_on
from sdtui.cli.errors import CommandLineError
from sdtui.compress.request import (
    CompressionError,
    CompressionReport,
    CompressionRequest,
    Goal,
    LeastPsnr,
    Published,
    Uniform,
)
from sdtui.conversion_page import aligned, amount, clock


def compress(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bundle in float16: its name or path.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The bundle to make, where nothing is."),
    ],
    bits: Annotated[
        float | None,
        typer.Option(
            "--bits",
            metavar="N",
            help="Bits a weight. A whole number: palettes of that size everywhere. 4.5: mixed, on average.",
        ),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Mix bits even where their average is whole.")
    ] = False,
    psnr: Annotated[
        float | None,
        typer.Option("--psnr", metavar="DB", help="Mixed bits, as few as keep the denoiser this close."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="BYTES", help="Mixed bits for a denoiser of this size: 1.2GB."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="FILE:NAME", help="A recipe from the JSON of Apple's mixed-bit pre-analysis."
        ),
    ] = None,
    linear: Annotated[
        bool, typer.Option("--linear", help="Scaled integers of 8 bits (4 with --bits 4, macOS15).")
    ] = False,
    activations: Annotated[
        bool,
        typer.Option("--activations", help="8 bits for what goes into layers too, where it does no harm."),
    ] = False,
    layer_psnr: Annotated[
        float,
        typer.Option("--layer-psnr", metavar="DB", help="What a layer alone must leave for --activations."),
    ] = 40.0,
    group_size: Annotated[
        int | None,
        typer.Option("--group-size", metavar="N", help="Output channels that share a palette (macOS15)."),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="TEXT", help="What to measure with (repeatable). Default: ours."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Inputs of the denoiser to measure with.")
    ] = 8,
    analysis: Annotated[
        Path | None,
        typer.Option("--analysis", metavar="FILE", help="Keep what is measured, and go on from it."),
    ] = None,
    curve: Annotated[
        Path | None, typer.Option("--curve", metavar="PNG", help="Draw PSNR against size (mixed bits).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Progress as JSON lines on stderr.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001
) -> None:
    """Make a smaller bundle of MODEL, and compare it with MODEL.

    Mixed bits are measured: each weight alone at each number of bits, by the noise at the denoiser's
    output. With --analysis an interrupted measurement goes on where it stopped.
    """
    goal = goal_of(bits, psnr, size, recipe, mixed=mixed, linear=linear or activations, group_size=group_size)
    if activations and goal != Uniform("linear-8"):
        raise CommandLineError("bits is not valid", "activations go with 8-bit weights", "leave out --bits")
    if curve is not None and isinstance(goal, Uniform | Published):
        raise CommandLineError("there is no curve", "it is drawn for mixed bits only", "add --mixed")
    request = CompressionRequest(
        model=str(locate(model)),
        output=str(output.expanduser().absolute()),
        goal=goal,
        group_size=group_size,
        activations=activations,
        layer_psnr=layer_psnr,
        analysis=_absolute(analysis),
        curve=_absolute(curve),
        samples=samples,
        prompts=tuple(prompts or ()),
    )
    from sdtui.compress.compress import compress as work

    try:
        with report_on(as_json=events) as progress:
            report = work(request, progress.hear)
    except KeyboardInterrupt:
        kept = "the same command goes on from here" if analysis else "nothing is kept without --analysis"
        print(f"stopped: {kept}", file=sys.stderr)
        raise
    print(msgspec.json.encode(report).decode() if json else "\n".join(_page(report)), flush=True)
    _refuse_noisy(goal, report)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.expanduser().absolute())


def _page(report: CompressionReport) -> list[str]:
    """A line for each network, and one for the bundle."""
    head = ("network", "before", "after", "bits", "dB", "")
    rows = [
        (
            each.network.replace("_", " "),
            amount(each.bytes_before),
            amount(each.bytes),
            f"{each.nbits:g}",
            "–" if each.psnr is None else f"{each.psnr:.1f}",
            each.encoding,
        )
        for each in report.networks
    ]
    return [*aligned([head, *rows]), f"{clock(report.seconds)}: {report.path}"]


def _refuse_noisy(goal: Goal, report: CompressionReport) -> None:
    """Raises CompressionError when what was promised is not kept on other inputs."""
    if not isinstance(goal, LeastPsnr):
        return
    measured = min((each.psnr for each in report.networks if each.psnr is not None), default=math.inf)
    if measured < goal.decibels:
        raise CompressionError(
            "the bundle is not as close as asked for",
            f"{measured:.1f} of {goal.decibels:g} dB on inputs it was not chosen by",
            "ask for more, or measure with more --samples",
        )
