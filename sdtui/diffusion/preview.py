"""A small picture of latents on their way, without the VAE."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdtui.bundle import manifest
from sdtui.diffusion.events import Preview
from sdtui.diffusion.schedulers.starting import flows
from sdtui.runtime import Array


def render(latents: Array, colours: manifest.Preview) -> Preview:
    """Latents (1, C, h, w) to RGB, a pixel for each cell: a matrix for each cell's channels, no more."""
    _, _, height, width = latents.shape
    matrix = np.array(colours.matrix, np.float32)
    rgb = np.einsum("rc,chw->hwr", matrix, latents[0]) + np.array(colours.bias, np.float32)
    pixels = np.rint((np.clip(rgb, -1, 1) + 1) * 127.5).astype(np.uint8)
    return Preview(width=width, height=height, rgb=pixels.tobytes())


def denoised(scheduler: Any, sample: Array, prediction: Array, timestep: float) -> Array:
    """What the network believes is under the noise: a picture long before the latents are one.

    ``sample`` is what it was shown at ``timestep``, which may lie between two that it was trained at.
    """
    if flows(scheduler):
        return without_flow(sample, prediction, timestep / scheduler.config.num_train_timesteps)
    return without_noise(sample, prediction, signal(scheduler, timestep), scheduler.config.prediction_type)


def signal(scheduler: Any, timestep: float) -> float:
    """The share of a sample's variance that is no noise, alpha-bar of Ho et al. 2020.

    Between the training's timesteps the logarithm of the noise level goes on evenly, as where
    schedulers look up the timestep of a noise level (Karras et al. 2022 walk such levels).
    """
    alphas = np.clip(np.asarray(scheduler.alphas_cumprod, np.float64), 1e-8, 1 - 1e-8)
    levels = np.log(1 / alphas - 1)
    return float(1 / (1 + np.exp(np.interp(timestep, np.arange(len(levels)), levels))))


def without_noise(sample: Array, prediction: Array, alpha: float, prediction_type: str) -> Array:
    """x0 of ``sample`` = sqrt(alpha) x0 + sqrt(1 - alpha) noise.

    ``epsilon`` predicts the noise (Ho et al. 2020), ``v_prediction`` sqrt(alpha) noise -
    sqrt(1 - alpha) x0 (Salimans and Ho 2022), ``sample`` x0 itself.
    """
    kept, noise = np.sqrt(alpha), np.sqrt(1 - alpha)
    estimate = prediction
    if prediction_type == "epsilon":
        estimate = (sample - noise * prediction) / max(kept, 1e-3)
    elif prediction_type == "v_prediction":
        estimate = kept * sample - noise * prediction
    return estimate


def without_flow(sample: Array, prediction: Array, sigma: float) -> Array:
    """x0 of ``sample`` = (1 - sigma) x0 + sigma noise, where noise - x0 is predicted (Lipman et al. 2023)."""
    estimate: Array = sample - sigma * prediction
    return estimate
