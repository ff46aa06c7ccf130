"""Latents to pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sdtui.bundle.manifest import Manifest
from sdtui.diffusion.errors import DiffusionError
from sdtui.runtime import Array, Network


def decode(latents: Array, decoder: Network, manifest: Manifest) -> Image.Image:
    """Latents (1, C, h, w) through the VAE decoder to an RGB picture.

    Raises :class:`DiffusionError` where the decoder overflowed: the picture would be black.
    """
    z = latents / manifest.scaling_factor + manifest.shift_factor
    pixels = decoder.predict({"z": z.astype(np.float32)})["image"][0]
    if not np.isfinite(pixels).all():
        raise DiffusionError(
            "the picture broke in the VAE decoder",
            "its pixels are not finite numbers",
            "choose precision fp32, or other compute units",
        )
    levels = np.rint(np.clip(pixels / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels.transpose(1, 2, 0))
