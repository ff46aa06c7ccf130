"""What a compression is asked for, and what it tells. Light: the command line imports this."""

from __future__ import annotations

import msgspec

from sdtui.errors import SdtuiError
from sdtui.request import RequestError


class Uniform(msgspec.Struct, frozen=True, tag="uniform"):
    """Every weight in the same encoding, given by its key: ``palette-6``, ``linear-8``."""

    encoding: str


class AverageBits(msgspec.Struct, frozen=True, tag="bits"):
    """So many bits a weight on average, tables included, where they do most good."""

    bits: float


class TotalBytes(msgspec.Struct, frozen=True, tag="bytes"):
    """A weight file of the denoiser of at most so many bytes."""

    nbytes: int


class LeastPsnr(msgspec.Struct, frozen=True, tag="psnr"):
    """As small as possible at a PSNR of at least so many dB against the model as it was given."""

    decibels: float


class Published(msgspec.Struct, frozen=True, tag="published"):
    """A recipe from the JSON ``file`` of Apple's mixed-bit pre-analysis, by its name there."""

    file: str
    recipe: str


Goal = Uniform | AverageBits | TotalBytes | LeastPsnr | Published


class CompressionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle to be made smaller: ``model`` and ``output`` are folders.

    ``group_size`` output channels share a palette (macOS15). ``activations`` rounds what goes into
    convolutions and linear layers to 8 bits too, where that leaves at least ``layer_psnr`` dB
    (macOS14). ``analysis`` is a file that what is measured goes to and is read from; ``curve``
    is a picture of PSNR against size to draw on the way; ``samples`` is how many inputs of the denoiser
    are tried. ``prompts`` are those it is measured with, none for ours.
    """

    model: str
    output: str
    goal: Goal
    group_size: int | None = None
    activations: bool = False
    layer_psnr: float = 40.0
    analysis: str | None = None
    curve: str | None = None
    samples: int = 8
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        match self.goal:
            case AverageBits(bits=bits) if not 1 <= bits <= 16:
                raise RequestError("bits", f"{bits:g} is outside 1 to 16", "4.5 is a good start")
            case TotalBytes(nbytes=nbytes) if nbytes < 1:
                raise RequestError("size", f"{nbytes} is below 1", "give it in bytes")
            case LeastPsnr(decibels=decibels) if not 0 < decibels < 200:
                raise RequestError("psnr", f"{decibels:g} is outside 0 to 200", "50 dB are hard to see")
        if self.samples < 1:
            raise RequestError("samples", f"{self.samples} is below 1", "8 is a good start")
        if self.group_size is not None and self.group_size < 1:
            raise RequestError("group_size", f"{self.group_size} is below 1", "16 is a good start")


class CompressedNetwork(msgspec.Struct, frozen=True):
    """One network: bytes of weights before and after, what a weight takes on average, and its PSNR in dB.

    ``psnr`` is against the network as it was given, on inputs that nothing was chosen by; None where
    no picture leads through the network. ``predicted`` is what the recipe promised.
    """

    network: str
    encoding: str
    bytes_before: int
    bytes: int
    nbits: float
    psnr: float | None
    predicted: float | None = None


class CompressionReport(msgspec.Struct, frozen=True):
    """A smaller bundle is done."""

    path: str
    seconds: float
    networks: list[CompressedNetwork]


class CompressionError(SdtuiError):
    """A model cannot be made smaller in the way that was asked for."""
