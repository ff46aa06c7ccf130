"""A model measured in each of several ways, one after the other, and beside diffusers. Light."""

from __future__ import annotations

import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from sdtui import __version__
from sdtui.bench.errors import MeasurementError
from sdtui.bench.measurement import Measurement, Ratios, Trial
from sdtui.bench.outcome import outcome_of
from sdtui.bundle import Bundle
from sdtui.conversion import Stage
from sdtui.errors import SdtuiError
from sdtui.machine import Machine, load_average, this_machine
from sdtui.request import ComputeUnits, GenerationRequest, Precision

MODULE = "sdtui.bench.process"
PROMPT = "red apple on a blue background"
SEED = 7

OnStage = Callable[[Stage], None]


class Variant(msgspec.Struct, frozen=True):
    """A way to run a model."""

    compute_units: ComputeUnits
    precision: Precision

    @property
    def name(self) -> str:
        return f"{self.compute_units} {self.precision}"


class Failure(msgspec.Struct, frozen=True):
    """A way that did not work, and why: a line that people read."""

    variant: str
    told: str


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The model that was measured. ``nbits`` and ``encoding`` are its UNet's, None where it is plain."""

    name: str
    title: str
    hash: str
    family: str
    width: int
    height: int
    attention: str | None
    nbits: float | None
    encoding: str | None

    @classmethod
    def of(cls, bundle: Bundle) -> Subject:
        manifest = bundle.manifest
        unet = manifest.networks.get("unet")
        return cls(
            name=manifest.name,
            title=manifest.title,
            hash=bundle.hash,
            family=manifest.family,
            width=manifest.width,
            height=manifest.height,
            attention=manifest.attention,
            nbits=unet.nbits if unet else None,
            encoding=unet.encoding if unet else None,
        )


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found out. ``load_average`` is that of the machine before it."""

    version: str
    machine: Machine
    load_average: float
    model: Subject
    measurements: tuple[Measurement, ...]
    ratios: tuple[Ratios, ...]
    failures: tuple[Failure, ...]

    @property
    def busy(self) -> bool:
        """Whether other programs took so much of the machine that the figures are worse than they should."""
        return self.load_average > max(0.5, 0.25 * self.machine.cores)


def request_for(bundle: Bundle, steps: int) -> GenerationRequest:
    """What is measured by default: one prompt with classifier-free guidance, as published figures are."""
    return GenerationRequest(prompt=PROMPT, model=str(bundle.path), steps=steps, seed=SEED)


def benchmark(
    bundle: Bundle,
    request: GenerationRequest,
    variants: Sequence[Variant],
    *,
    repeat: int,
    checkpoint: Path | None = None,
    on_stage: OnStage = lambda _: None,
    complaints: int | IO[str] = subprocess.DEVNULL,
) -> Benchmark:
    """Measure ``request`` in each of ``variants``, then by diffusers from ``checkpoint``, if there is one.

    Raises :class:`MeasurementError` when none of them works; what fails beside others is in the report.
    """
    machine, average = this_machine(), load_average()
    with tempfile.TemporaryDirectory(prefix="sdtui-bench-") as folder:
        picture = str(Path(folder) / "picture.png")
        trials = [
            (
                each.name,
                Trial(
                    program="sdtui",
                    model=str(bundle.path),
                    request=request.replace(compute_units=each.compute_units, precision=each.precision),
                    repeat=repeat,
                    picture=None if index else picture,
                ),
            )
            for index, each in enumerate(variants)
        ]
        if checkpoint is not None:
            units = variants[0].compute_units
            theirs = Trial(
                program="diffusers",
                model=str(bundle.path),
                request=request.replace(compute_units=units),
                repeat=repeat,
                checkpoint=str(checkpoint),
                picture=picture,
            )
            trials.append(("diffusers", theirs))
        measured, failures = _measured(trials, on_stage, complaints)
    reference = next((each for each in measured if each.program == "diffusers"), None)
    return Benchmark(
        version=__version__,
        machine=machine,
        load_average=round(average, 2),
        model=Subject.of(bundle),
        measurements=tuple(measured),
        ratios=tuple(Ratios.of(each, reference) for each in measured if each.program == "sdtui")
        if reference
        else (),
        failures=failures,
    )


def checkpoint_of(bundle: Bundle, given: Path | None) -> Path:
    """The diffusers folder with ``bundle``'s weights: what was ``given``, else what its manifest names.

    Raises :class:`MeasurementError` when there is none.
    """
    folder = (given or Path(bundle.manifest.source or "-")).expanduser().absolute()
    if (folder / "model_index.json").is_file():
        return folder
    raise MeasurementError(
        "diffusers has nothing to run",
        f"{folder} is no diffusers folder" if given else f"the checkpoint of {bundle.name} is not here",
        "give the folder that the model was converted from with --checkpoint",
    )


def _measured(
    trials: Sequence[tuple[str, Trial]], on_stage: OnStage, complaints: int | IO[str]
) -> tuple[list[Measurement], tuple[Failure, ...]]:
    progress = _Progress(len(trials), on_stage)
    measured: list[Measurement] = []
    failures: list[Failure] = []
    errors: list[SdtuiError] = []
    for name, trial in trials:
        if trial.program == "diffusers":
            if not measured:
                break  # nothing to compare it with
            if trial.picture and not Path(trial.picture).exists():
                trial = msgspec.structs.replace(trial, picture=None)
        try:
            measured.append(outcome_of(MODULE, trial, Measurement, progress.of(name), complaints))
        except MeasurementError as error:
            failures.append(Failure(name, str(error)))
            errors.append(error)
        progress.trial_ended()
    if not measured:
        raise errors[0]
    return measured, tuple(failures)


class _Progress:
    """How far several trials are, from how far each of them is: they take about as long as each other."""

    def __init__(self, trials: int, on_stage: OnStage) -> None:
        self._trials = trials
        self._on_stage = on_stage
        self._ended = 0
        self._began = time.monotonic()

    def of(self, name: str) -> OnStage:
        """Hears the stages of the trial that is called ``name``."""

        def hear(stage: Stage) -> None:
            elapsed = time.monotonic() - self._began
            fraction = (self._ended + stage.fraction) / self._trials
            remaining = None
            if stage.remaining is not None:
                this = stage.elapsed + stage.remaining
                each = (elapsed - stage.elapsed) / self._ended if self._ended else this
                remaining = round(stage.remaining + each * (self._trials - self._ended - 1), 1)
            self._on_stage(Stage(name, stage.stage, round(fraction, 4), round(elapsed, 1), remaining))

        return hear

    def trial_ended(self) -> None:
        self._ended += 1


def significant(value: float, digits: int = 3) -> str:
    """``value`` with that many digits that mean something, never as a power of ten: ``0.0291``, ``28.4``."""
    if value <= 0 or not math.isfinite(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(value)))}f}"
