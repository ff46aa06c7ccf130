"""A small picture of latents on their way, without the VAE."""

from __future__ import annotations

import numpy as np

from sdtui.bundle import manifest
from sdtui.diffusion.events import Preview
from sdtui.runtime import Array


def render(latents: Array, colours: manifest.Preview) -> Preview:
    """Latents (1, C, h, w) to RGB, a pixel for each cell: a matrix for each cell's channels, no more."""
    _, _, height, width = latents.shape
    matrix = np.array(colours.matrix, np.float32)
    rgb = np.einsum("rc,chw->hwr", matrix, latents[0]) + np.array(colours.bias, np.float32)
    pixels = np.rint((np.clip(rgb, -1, 1) + 1) * 127.5).astype(np.uint8)
    return Preview(width=width, height=height, rgb=pixels.tobytes())


def denoised(sample: Array, prediction: Array, alpha: float, prediction_type: str) -> Array:
    """What the UNet believes is under the noise: a picture long before the latents are one.

    ``sample`` = sqrt(alpha) x0 + sqrt(1 - alpha) noise is what the UNet was shown. ``epsilon``
    predicts the noise (Ho et al. 2020), ``v_prediction`` sqrt(alpha) noise - sqrt(1 - alpha) x0
    (Salimans and Ho 2022), ``sample`` x0 itself.
    """
    signal, noise = np.sqrt(alpha), np.sqrt(1 - alpha)
    estimate = prediction
    if prediction_type == "epsilon":
        estimate = (sample - noise * prediction) / max(signal, 1e-3)
    elif prediction_type == "v_prediction":
        estimate = signal * sample - noise * prediction
    return estimate
