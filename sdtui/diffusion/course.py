"""The way from noise to a picture: which scheduler goes it, where it begins, who takes over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from sdtui.diffusion.families import Conditions, Family
from sdtui.diffusion.loop import Leg
from sdtui.diffusion.schedulers import image_timesteps, noised, pure
from sdtui.request import GenerationRequest

Player = tuple[Family, Conditions]
"""Who goes a leg, and what it is told."""


def legs(request: GenerationRequest, make: Callable[[], Any], players: Sequence[Player]) -> tuple[Leg, ...]:
    """The walk of ``request``, all of it or the end that its strength leaves of it.

    ``make`` gives a fresh scheduler, its timesteps set. A second player takes over with one of its own
    where ``refiner_start`` of the noise levels are past: the ensemble of experts of Balaji et
    al. 2022, as diffusers' SDXL pipelines count it (``denoising_end`` and ``denoising_start``). Raises
    :class:`DiffusionError` where no step is left.
    """
    scheduler = make()
    timesteps = scheduler.timesteps
    if request.image is not None:
        timesteps = image_timesteps(scheduler, request.steps, request.strength)
    base, *refiners = players
    if not refiners:
        return (Leg(scheduler, timesteps, *base),)
    trained = scheduler.config.num_train_timesteps
    last = round(trained - request.refiner_start * trained)
    before, left = timesteps[timesteps >= last], int((timesteps < last).sum())
    if scheduler.order == 2 and left and left % 2 == 0:
        left += 1  # the second half of a step has the same timestep again
    second = make()
    first = len(second.timesteps) - left
    begin(second, first)
    walk = (
        Leg(scheduler, before, *base),
        Leg(second, second.timesteps[first:], *refiners[0], refining=True),
    )
    return tuple(leg for leg in walk if len(leg.timesteps))


def begin(scheduler: Any, index: int) -> None:
    """Stand at the timestep of this index; schedulers that cannot be told look it up themselves."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(index)


def starting_latents(walk: tuple[Leg, ...], noise: Tensor, picture: Tensor | None) -> Tensor:
    """What the walk begins with: ``noise`` alone, or a ``picture`` (latents, 1, C, h, w) under it."""
    first = walk[0]
    if picture is None:
        return pure(first.scheduler, noise)
    return noised(first.scheduler, picture, noise, first.timesteps[0])
