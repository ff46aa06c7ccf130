"""The two halves of the autoencoder: latents to a picture, and a picture to latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from sdtui.convert.source import Source

_SDXL_SCALING_FACTOR = 0.13025


def vae_decoder(vae: nn.Module, height: int, width: int) -> Source:
    """The decoder of a diffusers AutoencoderKL at latents of ``height`` x ``width``.

    ``z`` (1, C, h, w), already divided by the scaling factor -> ``image`` (1, 3, H, W), about -1 to 1.
    """
    config: Any = vae.config
    z = np.random.default_rng(0).standard_normal((1, config.latent_channels, height, width), np.float32)
    return Source("vae_decoder", _Decoder(vae), ({"z": z},), ("image",), overflows_fp16(vae))


def vae_encoder(vae: nn.Module, height: int, width: int) -> Source:
    """The encoder of a diffusers AutoencoderKL at pictures of ``height`` x ``width`` pixels.

    ``x`` (1, 3, H, W) in -1 to 1 -> ``latent`` (1, 2C, h, w): mean and log variance, not yet sampled
    (a sample inside the network could not be repeated) nor multiplied by the scaling factor.
    """
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
    return Source("vae_encoder", _Encoder(vae), ({"x": x},), ("latent",), overflows_fp16(vae))


def overflows_fp16(vae: nn.Module) -> bool:
    """Whether it is SDXL's own autoencoder, whose activations exceed what float16 can hold.

    It is known by its scaling factor. ``force_upcast`` alone says little: it is the default of
    configurations that never needed it; but the repaired one (sdxl-vae-fp16-fix) sets it to false.
    """
    config: Any = vae.config
    return bool(config.force_upcast) and abs(config.scaling_factor - _SDXL_SCALING_FACTOR) < 1e-6


class _Decoder(nn.Module):
    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> tuple[Tensor]:
        return (self.vae.decode(z, return_dict=False)[0],)  # type: ignore[operator]


class _Encoder(nn.Module):
    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.vae.encode(x).latent_dist.parameters,)  # type: ignore[operator]
