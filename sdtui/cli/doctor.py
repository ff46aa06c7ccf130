"""``sdtui doctor``: is everything as it should be?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import IO, Annotated

import msgspec
import typer

from sdtui import __version__
from sdtui.bundle import Bundle, installed, locate
from sdtui.cli.convert_progress import report_on
from sdtui.cli.errors import FAILED, CommandLineError
from sdtui.cli.terminal import show_terminal
from sdtui.doctor.diagnosis import diagnosis
from sdtui.doctor.finding import Finding
from sdtui.doctor.golden import SECTION as GOLDEN
from sdtui.doctor.golden import check
from sdtui.doctor.golden_record import Way
from sdtui.settings import load_settings


def doctor(
    golden: Annotated[
        bool,
        typer.Option("--golden", help="Make a small picture with each model, and compare it with before."),
    ] = False,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME|PATH", help="Only these, for --golden (repeatable)."),
    ] = None,
    terminal: Annotated[bool, typer.Option("--terminal", help="Show a picture by each protocol.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> int:
    """Look at the installation, the machine, folders, caches, the engine, the models and the terminal.

    Ends with 1 when there is a problem. Nothing is changed; only --golden computes, and keeps what came out.
    """
    if json and terminal:
        raise CommandLineError("the command line is wrong", "a picture is no JSON", "leave out --terminal")
    if models and not golden:
        raise CommandLineError("the command line is wrong", "--model is for --golden", "add --golden")
    chosen = [Bundle.open(locate(model)) for model in models or ()]
    found: list[Finding] = []
    tell = found.append if json else _Page(found)
    for finding in diagnosis():
        if not (golden and finding.section == GOLDEN):
            tell(finding)
    if golden:
        complaints = sys.stderr if debug else subprocess.DEVNULL
        for finding in _compared(chosen or installed(), complaints):
            tell(finding)
    problems = sum(each.level == "problem" for each in found)
    if json:
        told = {"version": __version__, "problems": problems, "findings": found}
        print(msgspec.json.encode(told).decode(), flush=True)
    else:
        if terminal:
            show_terminal()
        print(f"\n{_summary(found)}", flush=True)
    return FAILED if problems else 0


def _compared(bundles: Iterable[Bundle], complaints: int | IO[str]) -> Iterator[Finding]:
    settings = load_settings()
    way = Way(settings.compute_units, settings.precision)
    with report_on(as_json=False) as progress:
        for bundle in bundles:
            yield from check(bundle, way, progress.hear, complaints)


class _Page:
    """Prints each finding as it is found, under its section; keeps it in ``found``."""

    def __init__(self, found: list[Finding]) -> None:
        self._found = found

    def __call__(self, finding: Finding) -> None:
        if not self._found or self._found[-1].section != finding.section:
            print("\n" * bool(self._found) + finding.section)
        self._found.append(finding)
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        print(f"  {finding.level:8} {finding.subject:18} {finding.told}{remedy}", flush=True)


def _summary(found: list[Finding]) -> str:
    counts = {level: len(list(each)) for level, each in groupby(sorted(finding.level for finding in found))}
    problems, notes = counts.get("problem", 0), counts.get("note", 0)
    if not problems:
        return f"no problems, {notes or 'no'} note{'s' * (notes != 1)}"
    return f"{problems} problem{'s' * (problems != 1)}, {notes or 'no'} note{'s' * (notes != 1)}"
