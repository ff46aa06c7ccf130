"""The denoising loop, written once for every family and every scheduler."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from sdtui.bundle import manifest
from sdtui.diffusion.errors import Cancelled, DiffusionError
from sdtui.diffusion.events import PipelineEvent, Step
from sdtui.diffusion.preview import denoised, render
from sdtui.runtime import Array

Predict = Callable[[Array, float], Array]
"""sample (1, C, h, w), timestep -> the UNet's answers (P, C, h, w): [positive] or [negative, positive]."""


def denoise(
    noise: Tensor,
    scheduler: Any,
    predict: Predict,
    *,
    guidance_scale: float,
    generator: Generator,
    colours: manifest.Preview | None,
    on_event: Callable[[PipelineEvent], None],
    cancelled: Callable[[], bool],
) -> Tensor:
    """Walk ``noise`` (1, C, h, w), standard normal, along the scheduler's timesteps to clean latents.

    A Step event follows every step, with a preview where the model has ``colours`` for it. Raises
    :class:`Cancelled` before the next step, and :class:`DiffusionError` at the step after which the
    latents are not finite.
    """
    draws_noise = "generator" in inspect.signature(scheduler.step).parameters
    randomness = {"generator": generator} if draws_noise else {}
    latents: Tensor = noise * scheduler.init_noise_sigma
    total = len(scheduler.timesteps)
    began = time.perf_counter()
    for index, timestep in enumerate(scheduler.timesteps, start=1):
        if cancelled():
            raise Cancelled
        sample = scheduler.scale_model_input(latents, timestep)
        prediction = guide(torch.from_numpy(predict(sample.numpy(), float(timestep))), guidance_scale)
        latents = scheduler.step(prediction, timestep, latents, **randomness, return_dict=False)[0]
        if not torch.isfinite(latents).all():
            raise DiffusionError(
                f"the picture broke at step {index} of {total}",
                "its latents are no longer finite numbers",
                "choose precision fp32, or other compute units",
            )
        preview = None
        if colours:
            alpha = float(scheduler.alphas_cumprod[round(float(timestep))])
            estimate = denoised(sample.numpy(), prediction.numpy(), alpha, scheduler.config.prediction_type)
            preview = render(estimate, colours)
        on_event(Step(index, total, time.perf_counter() - began, preview))
    return latents


def guide(predictions: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): away from the negative, past the positive.

    ``predictions`` is [negative, positive], or [positive] alone, which is left as it is.
    """
    if len(predictions) == 1:
        return predictions
    negative, positive = predictions.chunk(2)
    return negative + guidance_scale * (positive - negative)
