"""bundle.json: what a bundle says about itself."""

from __future__ import annotations

from typing import Literal

import msgspec

NetworkRole = Literal["text_encoder", "unet", "vae_decoder", "vae_encoder"]
Family = Literal["sd"]

FORMAT = 1
"""What this version writes, and the latest that it reads."""


class NetworkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One network: its file name in the bundle folder, content hash, and its accuracy.

    ``sha256`` covers the package's files in path order. ``psnr`` is in dB, the network on the
    portable runtime in fp32 against the torch module it was converted from.
    """

    file: str
    sha256: str
    psnr: float | None = None
    nbits: int | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Linear map from latents to RGB in [-1, 1]: ``matrix`` is 3 rows of C, ``bias`` 3 numbers."""

    matrix: list[list[float]]
    bias: list[float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A model: how its networks fit together, and what it is.

    ``width`` and ``height`` are pixels; ``scale`` is pixels per latent along one side.
    VAE decoder input = latents / ``scaling_factor`` + ``shift_factor``. A prompt is padded to
    ``token_length`` tokens with ``pad_token``.
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
    preview: Preview | None = None
    networks: dict[NetworkRole, NetworkEntry]
