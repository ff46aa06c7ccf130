"""Golden latents: a small request whose numbers are remembered, and compared ever after.

An update of the system or a library can break a model that nobody touched: distorted pictures with no
error. So each model, in each way that it is run, makes one fixed picture; what its denoiser and its
decoder gave is kept, and later runs are held against it. Light: the work is done in a process of its own.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from sdtui.bench.outcome import outcome_of
from sdtui.bundle import Bundle, reference
from sdtui.bundle.library import STARTER
from sdtui.conversion import Stage
from sdtui.doctor.finding import Finding, problem
from sdtui.doctor.golden_record import (
    Agreement,
    Remembered,
    Surroundings,
    Way,
    all_known,
    files,
    keep,
    read,
    write,
)
from sdtui.errors import SdtuiError
from sdtui.machine import this_machine
from sdtui.request import GenerationRequest

MODULE = "sdtui.doctor.golden_process"
SECTION = "golden latents"
SAME_WAY = 30.0
"""dB that a model must agree with its own past at, run the same way."""
OTHER_WAY = 30.0
"""dB that the built-in model must agree with itself in fp32 at, run another way; bf16 was measured at 46."""
REQUEST = GenerationRequest(
    prompt="red apple on a blue background",
    steps=4,
    seed=7,
    rng="numpy",  # a stream that numpy has promised never to change
)

OnStage = Callable[[Stage], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Make ``request`` with the bundle ``model``, write its numbers to ``output``, and compare them.

    ``references`` are files that such a run has written before, by the words that the answer uses.
    """

    model: str
    request: GenerationRequest
    output: str
    references: dict[str, str]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag="outcome"):
    """Who ran it, how long the picture took, and how it agrees with each reference."""

    runtime: str
    seconds: float
    agreements: dict[str, Agreement]


def remembered() -> Iterator[Finding]:
    """What is remembered, and whether an update calls for a new look. Computes nothing."""
    now = Surroundings.of(this_machine())
    known = list(all_known())
    for each in known:
        yield _memory(each, now)
    if not known:
        yield Finding(
            section=SECTION, subject="none", told="nothing is remembered yet: `sdtui doctor --golden` does"
        )


def check(
    bundle: Bundle,
    way: Way,
    on_stage: OnStage = lambda _: None,
    complaints: int | IO[str] = subprocess.DEVNULL,
) -> Iterator[Finding]:
    """Run ``bundle``: remember its numbers the first time, compare them later.

    The built-in model is also held against itself in fp32 on the portable runtime, run here and now.
    """
    with tempfile.TemporaryDirectory(prefix="sdtui-golden-") as folder:
        here = Path(folder)
        fp32 = Way("cpu-only", "fp32")
        ways = [way]
        if reference(bundle) == STARTER:
            ways = list(dict.fromkeys((fp32, way, Way("cpu-only", "bf16"))))
        exact: Path | None = None
        for each in ways:
            output = here / f"{each.name}.npz"
            yield from _checked(bundle, each, output, exact, on_stage, complaints)
            if each == fp32 and output.exists():
                exact = output


# ---- one model, one way ----------------------------------------------------------------------


def _checked(
    bundle: Bundle,
    way: Way,
    output: Path,
    exact: Path | None,
    on_stage: OnStage,
    complaints: int | IO[str],
) -> Iterator[Finding]:
    subject = f"{reference(bundle)} {way.name}"
    kept, note = files(bundle, way)
    before = read(note) if kept.exists() else None
    references = {"past": kept} if before else {}
    if exact is not None:
        references["fp32"] = exact
    try:
        outcome = _run(bundle, way, output, references, on_stage, complaints)
        surroundings, now = Surroundings.of(this_machine()), datetime.now(UTC).isoformat(timespec="seconds")
        if before is None:
            known = Remembered(
                model=reference(bundle),
                hash=bundle.hash,
                compute_units=way.compute_units,
                precision=way.precision,
                runtime=outcome.runtime,
                surroundings=surroundings,
                made=now,
            )
            keep(output, kept)
        else:
            known = msgspec.structs.replace(
                before, checked=now, checked_in=surroundings, agreement=outcome.agreements["past"]
            )
        write(note, known)
    except SdtuiError as error:
        yield problem(SECTION, subject, error)
        return
    yield _compared(subject, known, outcome, kept)
    if (agreement := outcome.agreements.get("fp32")) is not None:
        yield _across(subject, outcome.runtime, agreement)


def _run(
    bundle: Bundle,
    way: Way,
    output: Path,
    references: Mapping[str, Path],
    on_stage: OnStage,
    complaints: int | IO[str],
) -> Outcome:
    order = Order(
        model=str(bundle.path),
        request=REQUEST.replace(compute_units=way.compute_units, precision=way.precision),
        output=str(output),
        references={name: str(file) for name, file in references.items()},
    )
    name = f"{reference(bundle)} {way.name}"

    def on_named(stage: Stage) -> None:
        on_stage(msgspec.structs.replace(stage, network=name))

    return outcome_of(MODULE, order, Outcome, on_named, complaints)


def _compared(subject: str, known: Remembered, outcome: Outcome, kept: Path) -> Finding:
    agreement, past = known.agreement, known.surroundings
    figures: dict[str, str | int | float | bool | None] = {
        "runtime": outcome.runtime,
        "seconds": round(outcome.seconds, 3),
        "latents_db": agreement.latents if agreement else None,
        "picture_db": agreement.picture if agreement else None,
    }
    if agreement is None:
        told = f"{outcome.runtime}: remembered from now on, {outcome.seconds:.1f} s"
        return Finding(section=SECTION, subject=subject, told=told, figures=figures)
    since = f"to {known.made[:10]}"
    told = f"{outcome.runtime}: {agreement} {since}"
    if agreement.least >= SAME_WAY:
        return Finding(section=SECTION, subject=subject, told=told, figures=figures)
    assert known.checked_in is not None
    changes = known.checked_in.changes(past)
    if changes:
        cause = f"an update broke this model: {'; '.join(changes)}"
        remedy = f"choose other compute units or precision, or delete {kept} if its pictures are right"
    else:
        cause = "no update explains it, so its files have changed"
        remedy = f"run `sdtui models verify {known.model}`"
    return Finding(
        section=SECTION, subject=subject, level="problem",
        told=f"{told}, {SAME_WAY:g} are wanted; {cause}", remedy=remedy, figures=figures,
    )  # fmt: skip


def _across(subject: str, runtime: str, agreement: Agreement) -> Finding:
    faithful = agreement.least >= OTHER_WAY
    return Finding(
        section=SECTION, subject=subject, level="ok" if faithful else "problem",
        told=f"{runtime} against fp32: {agreement}, {OTHER_WAY:g} are wanted",
        remedy="" if faithful else "choose precision fp32",
        figures={"latents_db": agreement.latents, "picture_db": agreement.picture},
    )  # fmt: skip


def _memory(known: Remembered, now: Surroundings) -> Finding:
    subject = f"{known.model} {known.compute_units} {known.precision}"
    agreement = known.agreement
    changes = now.changes(known.checked_in or known.surroundings)
    if agreement and agreement.least < SAME_WAY and not changes:
        return Finding(
            section=SECTION, subject=subject, level="problem",
            told=f"{agreement.least:.0f} dB when last compared, {SAME_WAY:g} are wanted",
            remedy="run `sdtui doctor --golden`",
        )  # fmt: skip
    when = f"compared {known.checked[:10]}" if known.checked else "not compared since"
    told = f"{known.runtime}, remembered {known.made[:10]}, {when}"
    if changes:
        return Finding(
            section=SECTION, subject=subject, level="note", told=f"{told}; since then {'; '.join(changes)}",
            remedy="run `sdtui doctor --golden`",
        )  # fmt: skip
    return Finding(section=SECTION, subject=subject, told=told)
