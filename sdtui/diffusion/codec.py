"""Latents to pictures, and pictures to latents."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdtui.bundle.manifest import Manifest
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.tiles import in_tiles
from sdtui.runtime import Array, Network

_LOG_VARIANCES = (-30.0, 20.0)
"""What diffusers' DiagonalGaussianDistribution clamps them to."""


def decode(latents: Array, decoder: Network, manifest: Manifest) -> Image.Image:
    """Latents (1, C, h, w) through the VAE decoder to an RGB picture, in tiles where they are larger.

    Raises :class:`DiffusionError` where the decoder overflowed: the picture would be black.
    """
    z = latents / manifest.scaling_factor + manifest.shift_factor
    pixels = in_tiles(decoder, "z", "image", z.astype(np.float32))[0]
    if not np.isfinite(pixels).all():
        raise DiffusionError(
            "the picture broke in the VAE decoder",
            "its pixels are not finite numbers",
            "choose precision fp32, or other compute units",
        )
    levels = np.rint(np.clip(pixels / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels.transpose(1, 2, 0))


def encode(levels: Array, encoder: Network, manifest: Manifest, noise: Noise) -> Tensor:
    """A picture (1, 3, H, W) in 0 to 1 through the VAE encoder to latents: float32 (1, C, h, w).

    The encoder gives the mean and log variance of where the latents may lie; they are drawn there from
    ``noise``. Raises :class:`DiffusionError` where the encoder overflowed.
    """
    moments = in_tiles(encoder, "x", "latent", (2 * levels - 1).astype(np.float32))
    if not np.isfinite(moments).all():
        raise DiffusionError(
            "the picture broke in the VAE encoder",
            "its latents are not finite numbers",
            "choose precision fp32, or other compute units",
        )
    mean, log_variance = torch.from_numpy(moments).chunk(2, dim=1)
    deviation = torch.exp(0.5 * log_variance.clamp(*_LOG_VARIANCES))
    sample = mean + deviation * noise.draw(tuple(mean.shape))
    return (sample - manifest.shift_factor) * manifest.scaling_factor
