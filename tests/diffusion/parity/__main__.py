"""Prints how close our pictures are to diffusers' own, family by task by scheduler, in dB."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from math import isinf
from pathlib import Path
from typing import Annotated

import diffusers
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from sdtui.conversion import ComputePrecision
from tests.diffusion.parity.cases import Case, every_case, tasks
from tests.diffusion.parity.measuring import LEAST, Workshop

PRECISIONS: tuple[ComputePrecision, ...] = ("fp32", "fp16")

Row = Mapping[ComputePrecision, float]
"""dB in each precision of the weights."""


def main(
    families: Annotated[list[str] | None, typer.Argument(metavar="FAMILY...", help="Default: all.")] = None,
) -> None:
    """Compare each picture of the matrix with diffusers'; the exit status is 1 where one is too far off."""
    cases = [case for case in every_case() if not families or case.family in families]
    console, errors = Console(), Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Workshop(Path(folder))) as workshop:
        found = {}
        for case in track(cases, console=errors):
            with _quiet():
                found[case] = {precision: workshop.decibels(case, precision) for precision in PRECISIONS}
    for family in dict.fromkeys(case.family for case in cases):
        console.print(table(family, found))
    console.print(f"{len(found)} pictures, the furthest {_furthest(found)}")
    if not all(_good(row) for row in found.values()):
        raise typer.Exit(1)


def table(family: str, found: Mapping[Case, Row]) -> Table:
    """Schedulers by tasks; what is too far off is red."""
    columns = [f"{task} {precision}" for task in tasks(family) for precision in PRECISIONS]
    made = Table(Column("scheduler", no_wrap=True), *columns, title=f"{family}, dB")
    own = {(case.scheduler, case.task): row for case, row in found.items() if case.family == family}
    for scheduler in dict.fromkeys(scheduler for scheduler, _ in own):
        rows = [own.get((scheduler, task)) for task in tasks(family)]
        made.add_row(scheduler, *(_cell(row, precision) for row in rows for precision in PRECISIONS))
    return made


def _cell(row: Row | None, precision: ComputePrecision) -> str:
    if row is None:
        return ""
    value = "equal" if isinf(row[precision]) else f"{row[precision]:.1f}"
    return value if row[precision] >= LEAST[precision] else f"[red]{value}"


def _good(row: Row) -> bool:
    return all(row[precision] >= least for precision, least in LEAST.items())


def _furthest(found: Mapping[Case, Row]) -> str:
    """The worst case of each precision."""

    def worst(precision: ComputePrecision) -> str:
        case = min(found, key=lambda each: found[each][precision])
        return f"in {precision} {found[case][precision]:.1f} dB ({case})"

    return ", ".join(map(worst, PRECISIONS))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What libraries say of a conversion is of no interest here."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


if __name__ == "__main__":
    torch.set_num_threads(1)  # networks this small only lose time to a second thread
    diffusers.utils.logging.set_verbosity_error()
    typer.run(main)
