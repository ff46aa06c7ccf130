"""ConversionRequest: the value that makes a model, and what is told while it is made.

The command line and the studio build it, the engine holds it, the unfinished bundle remembers it.
Converting the same value again goes on where it stopped, and ends in the same bytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

import msgspec

from sdtui.errors import SdtuiError

Attention = Literal["ORIGINAL", "SPLIT_EINSUM", "SPLIT_EINSUM_V2"]
Target = Literal["macOS13", "macOS14", "macOS15"]
ComputePrecision = Literal["fp16", "fp32"]
Part = Literal[
    "text-encoder", "text-encoder-t5", "unet", "vae-decoder", "vae-encoder", "safety-checker", "refiner"
]
"""Networks as the command line names them; ``unet`` is the transformer in an SD3 checkpoint."""

PARTS: tuple[Part, ...] = get_args(Part)
PALETTE_BITS = (1, 2, 3, 4, 6, 8)


class ConversionRequestError(SdtuiError):
    """A value in a conversion request is outside what it may be; ``field`` names it."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(f"{field.replace('_', ' ')} is not valid", why, remedy)
        self.field = field


class Fused(msgspec.Struct, frozen=True):
    """A LoRA file, or a textual inversion, and how strongly it is applied (1 is as it was trained)."""

    path: str
    weight: float = 1.0


class ConversionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the bytes of a bundle, and where it goes.

    ``source`` is a diffusers folder, a ``.safetensors`` file or a Hub name; so are ``controlnets``,
    ``refiner``, ``vae`` and ``preview_decoder``, an AutoencoderTiny. ``sizes`` are pixels, the first one
    the bundle's own, none for the model's. ``networks`` None takes what the checkpoint has. ``nbits``
    palettizes UNets, transformers, ControlNets and text encoders; ``group_size`` gives each group of
    output channels its own table (macOS15). Raises :class:`ConversionRequestError`.
    """

    source: str
    output: str
    networks: tuple[Part, ...] | None = None
    attention: Attention = "SPLIT_EINSUM"
    target: Target = "macOS13"
    precision: ComputePrecision = "fp16"
    sizes: tuple[tuple[int, int], ...] = ()
    multifunction: bool = False
    token_length: int | None = None
    text_hidden_size: int | None = None
    unet_batch_one: bool = False
    chunk_unet: bool = False
    unet_support_controlnet: bool = False
    controlnets: tuple[str, ...] = ()
    refiner: str | None = None
    vae: str | None = None
    preview_decoder: str | None = None
    text_projection: str | None = None
    nbits: int | None = None
    group_size: int | None = None
    linear: bool = False
    loras: tuple[Fused, ...] = ()
    embeddings: tuple[str, ...] = ()
    minimum_psnr: float | None = None
    swift_resources: bool = False

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ConversionRequestError("source", "it is empty", "give a folder, a file or a Hub name")
        if not Path(self.output).name:
            raise ConversionRequestError("output", "it has no name", "give the folder to make")
        if self.nbits is not None and self.nbits not in PALETTE_BITS:
            raise ConversionRequestError(
                "quantize_nbits",
                f"{self.nbits} is none of {', '.join(map(str, PALETTE_BITS))}",
                "6 loses little",
            )
        if self.target != "macOS15":
            for field, wanted in (
                ("quantize_nbits", self.nbits == 3),
                ("group_size", self.group_size is not None),
                ("multifunction", self.multifunction),
            ):
                if wanted:
                    raise ConversionRequestError(
                        field, f"{self.target} cannot hold it", "add --min-deployment-target macOS15"
                    )
        if self.chunk_unet and len(self.sizes) > 1 and not self.multifunction:
            raise ConversionRequestError(
                "chunk_unet", "halves are made in one size", "choose one, or add --multifunction (macOS15)"
            )
        if self.group_size is not None and self.group_size < 1:
            raise ConversionRequestError("group_size", f"{self.group_size} is below 1", "16 is a good start")
        for width, height in self.sizes:
            if width < 8 or height < 8 or width % 8 or height % 8:
                raise ConversionRequestError(
                    "size", f"{width}x{height} is not made of positive multiples of 8", "choose one that is"
                )

    @property
    def name(self) -> str:
        """What the bundle is called: the last part of where it goes."""
        return Path(self.output).name


def parse_fused(text: str) -> Fused:
    """``PATH`` or ``PATH:WEIGHT``, as ``--lora`` takes it."""
    path, colon, weight = text.rpartition(":")
    if colon and path and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", weight):
        return Fused(path, float(weight))
    return Fused(text)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels of ``512x768``. Raises :class:`ConversionRequestError`."""
    match = re.fullmatch(r"(\d+)\s*[xX×]\s*(\d+)", text.strip())
    if match is None:
        raise ConversionRequestError("size", f"{text!r} is not WIDTHxHEIGHT", "write it like 512x768")
    return int(match[1]), int(match[2])


def parse_parts(text: str) -> tuple[Part, ...]:
    """The networks of ``unet,vae-decoder``. Raises :class:`ConversionRequestError`."""
    named = [name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip()]
    for name in named:
        if name not in PARTS:
            raise ConversionRequestError(
                "networks", f"there is none called {name}", f"choose from {', '.join(PARTS)}"
            )
    return tuple(part for part in PARTS if part in named)


# ---- what is told on the way ---------------------------------------------------------------


class NetworkForecast(msgspec.Struct, frozen=True):
    """One network before it is converted: parameters, bytes at most in memory, bytes written, seconds."""

    network: str
    parameters: int
    memory: int
    disk: int
    seconds: float


class Forecast(msgspec.Struct, frozen=True, tag="forecast"):
    """What a conversion will take, before it starts; ``warnings`` say what it will not fit into."""

    networks: list[NetworkForecast]
    memory: int
    disk: int
    seconds: float
    warnings: list[str] = []


class Stage(msgspec.Struct, frozen=True, tag="stage"):
    """A step began or came further. Times are seconds; ``fraction`` is of the whole conversion."""

    network: str
    stage: str
    fraction: float
    elapsed: float
    remaining: float | None


class NetworkReport(msgspec.Struct, frozen=True, tag="network"):
    """A network is done. ``psnr`` is in dB against torch, ``threshold`` what it should reach.

    ``seconds`` and ``peak_memory`` (bytes) are those of its process; 0 where it was there already.
    """

    network: str
    file: str
    parameters: int
    bytes: int
    psnr: float | None
    threshold: float
    nbits: float | None
    seconds: float
    peak_memory: int

    @property
    def faithful(self) -> bool:
        """Whether the network does what its torch original does."""
        return self.psnr is None or self.psnr >= self.threshold


class ConversionReport(msgspec.Struct, frozen=True, tag="report"):
    """A bundle is done. ``path`` is where it lies."""

    path: str
    source: str
    family: str
    seconds: float
    networks: list[NetworkReport]
    warnings: list[str] = []


ConversionEvent = Forecast | Stage | NetworkReport | ConversionReport
