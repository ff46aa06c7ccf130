"""bundle.json: what a bundle says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

NetworkRole = Literal[
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "text_projection",
    "unet",
    "control_unet",
    "refiner",
    "mmdit",
    "controlnet",
    "vae_decoder",
    "vae_encoder",
    "preview_decoder",
    "safety_checker",
]
"""What a network does. ``control_unet`` is a UNet that takes ControlNet residuals, ``refiner`` SDXL's
second UNet, ``mmdit`` the transformer of SD3, ``text_encoder_3`` its T5. ``preview_decoder`` is a tiny
decoder that takes latents as the denoiser has them."""

Family = Literal["sd", "sdxl", "sdxl-refiner", "sd3"]

STEMS: Mapping[NetworkRole, str] = {
    "text_encoder": "TextEncoder",
    "text_encoder_2": "TextEncoder2",
    "text_encoder_3": "TextEncoderT5",
    "text_projection": "MultilingualTextEncoderProjection",
    "unet": "Unet",
    "control_unet": "ControlledUnet",
    "refiner": "UnetRefiner",
    "mmdit": "MultiModalDiffusionTransformer",
    "vae_decoder": "VAEDecoder",
    "vae_encoder": "VAEEncoder",
    "preview_decoder": "PreviewDecoder",
    "safety_checker": "SafetyChecker",
}
"""The file names of networks, without ending, in Apple's bundles and ours; a half of one that is cut in
two adds ``Chunk1`` or ``Chunk2``. ControlNets lie in a folder ``controlnet`` under their own names."""

FORMAT = 1
"""What this version writes, and the latest that it reads."""


class NetworkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One network: its path in the bundle folder, content hash, and its accuracy.

    ``sha256`` covers the package's files in path order. ``psnr`` is in dB, the network on the
    portable runtime in fp32 against the torch module it was converted from. ``nbits`` is what one
    compressed weight takes on average, ``encoding`` how (``palettized``, ``linear``, ``mixed``).
    ``second_half`` continues ``file`` where the network is cut in two. ``sizes`` maps other picture
    sizes (``768x512``) to packages of their own, ``functions`` to functions of the same package.
    """

    file: str
    sha256: str
    psnr: float | None = None
    nbits: float | None = None
    encoding: str | None = None
    second_half: str | None = None
    sizes: dict[str, str] = {}
    functions: dict[str, str] = {}


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA or textual inversion that was fused at conversion. ``weight`` is 1 for its full effect."""

    kind: Literal["lora", "textual_inversion"]
    name: str
    sha256: str
    weight: float = 1.0
    tokens: list[str] = []


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Linear map from latents to RGB in [-1, 1]: ``matrix`` is 3 rows of C, ``bias`` 3 numbers."""

    matrix: list[list[float]]
    bias: list[float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A model: how its networks fit together, and what it is.

    ``width`` and ``height`` are pixels; ``scale`` is pixels per latent along one side.
    VAE decoder input = latents / ``scaling_factor`` + ``shift_factor``. A prompt is padded to
    ``token_length`` tokens with ``pad_token`` (``pad_token_2`` for the second text encoder).
    ``attention`` and ``target`` are those of the conversion, None where nobody knows. ``source`` is
    what was converted or imported. ``controlnets`` are networks by the name a request uses.
    """

    format: int = FORMAT
    name: str
    title: str
    description: str = ""
    licence: str = ""
    family: Family = "sd"
    width: int
    height: int
    scale: int = 8
    latent_channels: int
    scaling_factor: float
    shift_factor: float = 0.0
    token_length: int = 77
    pad_token: str = "<|endoftext|>"
    pad_token_2: str = "!"
    preview: Preview | None = None
    attention: str | None = None
    target: str | None = None
    source: str = ""
    adapters: list[Adapter] = []
    controlnets: dict[str, NetworkEntry] = {}
    networks: dict[NetworkRole, NetworkEntry]
