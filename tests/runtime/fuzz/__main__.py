"""``python -m tests.runtime.fuzz --count 2000 [--seed N] [--case N]``: damage networks, and load them.

Prints what came of it; ends with 1 unless each was refused in one line, or worked.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.runtime.fuzz.runs import run, table, write_samples
from tests.runtime.fuzz.worker import BAD


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="only this one, as a table named it")
    options = parser.parse_args(arguments)
    first, count = (0, options.count) if options.case is None else (options.case, 1)
    console, bad = Console(width=120, soft_wrap=False), 0
    with tempfile.TemporaryDirectory() as place:
        samples = write_samples(Path(place))
        for ending in (".mlpackage", ".mlmodelc"):
            outcomes = list(run(samples, ending, count, options.seed, first))
            console.print(table(f"{count} {ending}, seed {options.seed}", outcomes))
            failures = [each for each in outcomes if each.outcome in BAD]
            bad += len(failures)
            for each in failures if options.case is None else outcomes:
                told = f"{each.case} {each.network}: {each.mutation}: {each.outcome}: {each.detail}"
                console.print(told, markup=False, highlight=False, soft_wrap=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
