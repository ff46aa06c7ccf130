"""Measures everything, or what is named: ``python -m tests.tui.responsiveness lag keys --json``.

Run it on a quiet machine. The exit status is 1 when a figure is above its limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.tui import cold_start
from tests.tui.responsiveness import keys, labels, lag, memory, rest
from tests.tui.responsiveness.figure import Figure

STARTS = 7


def first_frame() -> list[Figure]:
    """How soon a key is taken, beside a bare Textual app."""
    start = cold_start.measure(STARTS)
    return [
        Figure("first key, against a bare Textual app", start.ratio, "times", cold_start.LIMIT),
        Figure("first key", start.sdtui * 1000, "ms"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.tui.responsiveness", description=__doc__)
    parser.add_argument(
        "what", nargs="*", help="lag, keys, rest, memory, labels, start; all of them unless named"
    )
    parser.add_argument("--bundle", type=Path, help="a model to measure beside, instead of the starter")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    given = parser.parse_args(arguments)
    measurements: dict[str, Callable[[], list[Figure]]] = {
        "lag": lag.measure,
        "keys": partial(keys.measure, given.bundle),
        "rest": rest.measure,
        "memory": partial(memory.measure, given.bundle),
        "labels": labels.measure,
        "start": first_frame,
    }
    if unknown := set(given.what) - measurements.keys():
        parser.error(f"not measured: {', '.join(sorted(unknown))}")
    figures = [figure for name in given.what or measurements for figure in measurements[name]()]
    if given.json:
        for figure in figures:
            print(msgspec.json.encode(figure).decode())
    else:
        Console().print(_table(figures))
    return 0 if all(figure.holds for figure in figures) else 1


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("what", "figure", "at most", "")
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g} {figure.unit}"
        table.add_row(
            figure.name, f"{figure.value:.3g} {figure.unit}", limit, "" if figure.holds else "too much"
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
