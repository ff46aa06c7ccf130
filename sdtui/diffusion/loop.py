"""The denoising loop, written once for every family, every scheduler and every task."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdtui.diffusion.errors import Cancelled, DiffusionError
from sdtui.diffusion.events import PipelineEvent, Preview, Step
from sdtui.diffusion.families import Conditions, Family
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.pictures.inpainting import Keeping
from sdtui.diffusion.preview import denoised
from sdtui.diffusion.schedulers import shown
from sdtui.runtime import Array


@dataclass(frozen=True)
class Moment:
    """Where a walk is: step ``index`` of ``total``, from 0, at a timestep of the training's."""

    index: int
    total: int
    timestep: float


Tell = Callable[[Array, Moment, Conditions], Conditions]
"""sample (1, C, h, w) and what the network is told anyway -> what it is told at this moment."""

Show = Callable[[Array, Moment], Preview | None]
"""What the network believes is under the noise (1, C, h, w) -> a preview of it; None to keep the last."""


@dataclass(frozen=True)
class Leg:
    """A part of the walk that one network goes, under the same ``conditions``.

    ``scheduler`` stands at the first of ``timesteps``. One that is ``refining`` is shown the sample
    alone: neither ControlNets nor inpainting models' channels are made for a refiner.
    """

    scheduler: Any
    timesteps: Tensor
    family: Family
    conditions: Conditions
    refining: bool = False


@dataclass(frozen=True)
class Steering:
    """What every step heeds beside its network's answers.

    ``guidance_scale`` is how far past the positive prompt it goes. ``tell`` adds what ControlNets say.
    ``channels`` (1, K, h, w) are shown behind those of the sample, to a model that inpaints.
    ``keeping`` puts back what stays of a picture. None where there is none of it.
    """

    guidance_scale: float = 1.0
    tell: Tell | None = None
    channels: Array | None = None
    keeping: Keeping | None = None


def denoise(
    latents: Tensor,
    legs: Sequence[Leg],
    steering: Steering,
    *,
    noise: Noise,
    show: Show,
    on_event: Callable[[PipelineEvent], None],
    cancelled: Callable[[], bool],
) -> Tensor:
    """Walk ``latents`` (1, C, h, w), as noisy as the first leg begins, along all legs to clean ones.

    A Step event follows every step, with the preview that ``show`` makes. Raises
    :class:`Cancelled` before the next step, and :class:`DiffusionError` at the step after which the
    latents are not finite.
    """
    walk = [(leg, timestep) for leg in legs for timestep in leg.timesteps]
    following = [timestep for _, timestep in walk[1:]] + [None]
    generator = noise.generator()
    began = time.perf_counter()
    for index, ((leg, timestep), next_timestep) in enumerate(zip(walk, following, strict=True)):
        if cancelled():
            raise Cancelled
        sample = shown(leg.scheduler, latents, timestep)
        moment = Moment(index, len(walk), float(timestep))
        prediction = guide(torch.from_numpy(_answers(leg, steering, sample.numpy(), moment)), steering)
        with noise.stepping():
            randomness = {"generator": generator} if _draws(leg.scheduler) else {}
            latents = leg.scheduler.step(prediction, timestep, latents, **randomness, return_dict=False)[0]
        if steering.keeping is not None:
            latents = steering.keeping.restored(latents, leg.scheduler, next_timestep)
        if not torch.isfinite(latents).all():
            raise DiffusionError(
                f"the picture broke at step {index + 1} of {len(walk)}",
                "its latents are no longer finite numbers",
                "choose precision fp32, or other compute units",
            )
        estimate = denoised(leg.scheduler, sample.numpy(), prediction.numpy(), float(timestep))
        preview = show(estimate, moment)
        on_event(Step(index + 1, len(walk), time.perf_counter() - began, preview))
    return latents


def guide(predictions: Tensor, steering: Steering) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): away from the negative, past the positive.

    ``predictions`` is [negative, positive], or [positive] alone, which is left as it is.
    """
    if len(predictions) == 1:
        return predictions
    negative, positive = predictions.chunk(2)
    return negative + steering.guidance_scale * (positive - negative)


def _answers(leg: Leg, steering: Steering, sample: Array, moment: Moment) -> Array:
    """The network's answer to each prompt: (P, C, h, w)."""
    if leg.refining:
        return leg.family.predict(sample, moment.timestep, leg.conditions)
    told = steering.tell(sample, moment, leg.conditions) if steering.tell else leg.conditions
    if steering.channels is not None:
        sample = np.concatenate([sample, steering.channels], axis=1)
    return leg.family.predict(sample, moment.timestep, told)


def _draws(scheduler: Any) -> bool:
    """Whether its steps take a generator to draw noise from."""
    return "generator" in inspect.signature(scheduler.step).parameters
