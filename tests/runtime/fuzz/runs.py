"""The networks that are damaged, the process that does it, and the table of what came of it."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from sdtui.spawn import environment, python
from tests.runtime.fuzz.worker import BAD, GOOD, Outcome
from tests.runtime.mil_text_writer import SPELLINGS, compile_package
from tests.runtime.networks import convert, make_sample, merge_halves
from tests.runtime.programs import save_every_constant
from tests.runtime.small import ENCODINGS, convert_small

NETWORKS = (
    ("text_encoder", "fp32", "macOS13"),
    ("vae_decoder", "fp16", "macOS14"),
    ("unet", "fp16", "macOS15"),
)
ENCODED = (
    ("macOS13", "palette-4"),
    ("macOS13", "sparse"),
    ("macOS15", "palette-vectors"),
    ("macOS15", "int4-blocks"),
)


def write_samples(folder: Path) -> Path:
    """Write tiny networks of several kinds and encodings to ``folder``, as packages and compiled."""
    for name, precision, target in NETWORKS:
        package = convert(make_sample(name), folder / f"{name}.mlpackage", precision, target)
        compile_beside(package, target)
    merge_halves(folder / "vae_decoder.mlpackage", folder)
    compile_beside(save_every_constant(folder / "constants.mlpackage"), "macOS13")
    for target, encoding in ENCODED:
        package = folder / f"{encoding}.mlpackage"
        ENCODINGS[target][encoding](convert_small(target)).save(str(package))
        compile_beside(package, target)
    return folder


def compile_beside(package: Path, target: str) -> None:
    """Write what Apple's compiler of that time would, with the same name."""
    compile_package(package, package.with_suffix(".mlmodelc"), SPELLINGS[target])


def run(samples: Path, ending: str, count: int, seed: int, first: int = 0) -> Iterator[Outcome]:
    """Damage ``count`` of the networks in ``samples`` that end so; what becomes of each, in turn."""
    command = python("tests.runtime.fuzz.worker", str(samples), ending, str(seed), str(first), str(count))
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield msgspec.json.decode(line, type=Outcome)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def table(title: str, outcomes: Sequence[Outcome]) -> Table:
    """How often each damage led to what, and the most memory that any took, in MB."""
    counts = Counter((each.mutation, each.outcome) for each in outcomes)
    drawn = Table(title=title, min_width=110)
    drawn.add_column("damage", no_wrap=True)
    for column in (*GOOD, *BAD, "MB"):
        drawn.add_column(column, justify="right")
    for mutation in sorted({each.mutation for each in outcomes}):
        found = [counts[mutation, outcome] for outcome in (*GOOD, *BAD)]
        drawn.add_row(mutation, *map(str, found), _peak([e for e in outcomes if e.mutation == mutation]))
    drawn.add_section()
    totals = Counter(each.outcome for each in outcomes)
    drawn.add_row("all", *(str(totals[each]) for each in (*GOOD, *BAD)), _peak(outcomes))
    return drawn


def _peak(outcomes: Sequence[Outcome]) -> str:
    return f"{max((each.peak for each in outcomes), default=0) / 1e6:.0f}"
