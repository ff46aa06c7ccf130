"""What a person wants to see while a picture is made. Light: the interface imports this."""

from __future__ import annotations

from typing import Literal

import msgspec


class Preview(msgspec.Struct, frozen=True):
    """A small picture of the latents: ``rgb`` holds width * height * 3 bytes, row by row."""

    width: int
    height: int
    rgb: bytes


LoadingStage = Literal["compiling", "specialising", "loading", "ready"]
"""What Core ML is at: the first two are done once, and may take minutes."""


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """A network is being loaded; ``network`` is its name in the bundle, ``index`` counts from 1.

    ``elapsed`` seconds after its load began it has come to ``stage``, which took ``expected`` seconds
    last time. ``note`` is a sentence for the person: that other compute units are used, and why.
    """

    network: str
    index: int
    total: int
    stage: LoadingStage = "loading"
    elapsed: float = 0.0
    expected: float | None = None
    note: str = ""


class Encoding(msgspec.Struct, frozen=True, tag="encoding"):
    """The prompts are on their way through the text encoder.

    ``note`` is a sentence for the person: which of their words do not fit, and are not read.
    """

    note: str = ""


class Step(msgspec.Struct, frozen=True, tag="step"):
    """Denoising step ``index`` of ``total`` is done; ``elapsed`` seconds since the first began."""

    index: int
    total: int
    elapsed: float
    preview: Preview | None = None

    @property
    def rate(self) -> float:
        """Steps a second so far."""
        return self.index / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def remaining(self) -> float:
        """Estimated seconds until the last step is done."""
        return (self.total - self.index) * self.elapsed / self.index if self.index else 0.0


class Decoding(msgspec.Struct, frozen=True, tag="decoding"):
    """The latents are on their way through the VAE decoder."""


class Blocked(msgspec.Struct, frozen=True, tag="blocked"):
    """The safety checker found what it looks for: the picture will be black."""

    @property
    def note(self) -> str:
        """What happened and what can be done, as people read it."""
        return "the safety checker found something and the picture is black: switch it off to see it"


PipelineEvent = Loading | Encoding | Step | Decoding | Blocked


class Seconds(msgspec.Struct, frozen=True):
    """Where the time of one picture went. ``load`` is 0 when the networks were warm."""

    load: float
    text: float
    denoise: float
    decode: float
    total: float

    def __add__(self, other: Seconds) -> Seconds:
        """Both, one after the other."""
        both = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Seconds(*(one + another for one, another in both))
