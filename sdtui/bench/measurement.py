"""What is measured, and the figures that come of it. Light: the command line imports this."""

from __future__ import annotations

from statistics import median
from typing import Literal

import msgspec

from sdtui.request import GenerationRequest

Program = Literal["sdtui", "diffusers"]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """``repeat`` pictures of one request by one program, from a process's start to its end.

    ``model`` is the bundle's folder; diffusers reads the weights from the folder ``checkpoint``.
    ``picture`` is a PNG that sdtui leaves, and that diffusers' picture is compared with.
    """

    program: Program
    model: str
    request: GenerationRequest
    repeat: int = 3
    checkpoint: str | None = None
    picture: str | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Bringing all networks into memory. ``seconds`` leave out the import of libraries.

    ``first_step`` is what the denoising step after it took: what a load leaves undone, that step does.
    ``cached`` is the part of the weights' files that the system held in its page cache before, None where
    it does not say. ``compiled`` counts networks that Core ML compiled for it.
    """

    seconds: float
    first_step: float
    cached: float | None
    compiled: int

    @property
    def started(self) -> float:
        """Seconds from the call to the end of the first step, the prompt's encoding left out."""
        return self.seconds + self.first_step


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds a denoising step: ``first`` ones apart, then the median and the extremes of the others.

    With one step a picture, there are no others: the first ones stand for them.
    """

    first: float
    median: float
    fastest: float
    slowest: float

    @classmethod
    def of(cls, pictures: list[list[float]]) -> Steps:
        """From each picture's steps in their order."""
        first = median(steps[0] for steps in pictures)
        others = [seconds for steps in pictures for seconds in steps[1:]] or [steps[0] for steps in pictures]
        return cls(first=first, median=median(others), fastest=min(others), slowest=max(others))


class Measurement(msgspec.Struct, frozen=True, kw_only=True, tag="measurement"):
    """One trial's figures. Times are seconds, medians over the pictures; sizes are bytes.

    ``start`` is what importing the libraries took, ``predict`` the sum over one picture of what its
    networks ran (None where that was not measured), ``end_to_end`` a picture from the request to its
    pixels with the model loaded. ``memory`` is the most that the process held of the machine's memory, the
    pages of weights that it read included, ``accelerator_memory`` of a GPU's. ``weights`` are those on
    disk of the networks used. ``agreement`` is in dB, the picture against sdtui's, None where nothing
    was compared.
    """

    program: Program
    runtime: str
    request: GenerationRequest
    repeat: int
    start: float
    cold: Load
    warm: Load
    text: float
    steps: Steps
    decode: float
    end_to_end: float
    predict: float | None
    memory: int
    accelerator_memory: int
    weights: int
    agreement: float | None = None

    @property
    def overhead(self) -> float | None:
        """The part of ``end_to_end`` in which no network ran."""
        return None if self.predict is None else (self.end_to_end - self.predict) / self.end_to_end

    @property
    def rate(self) -> float:
        """Steps a second, the first of a picture left out."""
        return 1 / self.steps.median


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """sdtui's figures over diffusers': below 1, sdtui takes less. ``runtime`` is sdtui's.

    A ``start`` is a load and its first step.
    """

    runtime: str
    cold_load: float
    warm_load: float
    cold_start: float
    warm_start: float
    step: float
    end_to_end: float
    memory: float

    @classmethod
    def of(cls, ours: Measurement, theirs: Measurement) -> Ratios:
        """Both measured in the same run, of the same weights and request."""
        return cls(
            runtime=ours.runtime,
            cold_load=ours.cold.seconds / theirs.cold.seconds,
            warm_load=ours.warm.seconds / theirs.warm.seconds,
            cold_start=ours.cold.started / theirs.cold.started,
            warm_start=ours.warm.started / theirs.warm.started,
            step=ours.steps.median / theirs.steps.median,
            end_to_end=ours.end_to_end / theirs.end_to_end,
            memory=ours.memory / theirs.memory,
        )
