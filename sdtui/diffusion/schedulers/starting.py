"""Where a walk begins, and what the network is shown on it: schedulers for flows leave some of it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdtui.diffusion.errors import DiffusionError

if TYPE_CHECKING:
    from torch import Tensor


def flows(scheduler: Any) -> bool:
    """Whether a diffusers scheduler walks models that predict a flow."""
    return hasattr(scheduler, "scale_noise") or bool(getattr(scheduler.config, "use_flow_sigmas", False))


def pure(scheduler: Any, noise: Tensor) -> Tensor:
    """Latents that are nothing but ``noise`` (1, C, h, w), as large as at the scheduler's first timestep."""
    return noise * getattr(scheduler, "init_noise_sigma", 1.0)


def shown(scheduler: Any, latents: Tensor, timestep: Tensor) -> Tensor:
    """``latents`` as the network is shown them at ``timestep``, a scalar."""
    if not hasattr(scheduler, "scale_model_input"):
        return latents
    sample: Tensor = scheduler.scale_model_input(latents, timestep)
    return sample


def image_timesteps(scheduler: Any, steps: int, strength: float) -> Tensor:
    """The timesteps of the last ``strength`` (0 to 1) of ``steps``, at which the scheduler now begins.

    As diffusers' image-to-image pipelines count: a second-order scheduler has two timesteps a step,
    and the pipelines of SD3 round only what is skipped. Raises :class:`DiffusionError` where no step
    is left.
    """
    wanted = min(steps * strength, steps)
    skipped = int(steps - wanted) if flows(scheduler) else steps - int(wanted)
    first = skipped * scheduler.order
    timesteps: Tensor = scheduler.timesteps[first:]
    if not len(timesteps) or not wanted:
        raise DiffusionError(
            f"strength {strength:g} changes nothing",
            f"it is less than one of {steps} steps",
            "raise the strength, or the steps",
        )
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return timesteps


def noised(scheduler: Any, latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """A picture's ``latents`` (1, C, h, w) under as much ``noise`` as there is at ``timestep``, a scalar.

    Before the first step that is the one where the scheduler begins, later the one it has come to.
    """
    at = timestep.reshape(1)
    mixed: Tensor
    if hasattr(scheduler, "scale_noise"):
        mixed = scheduler.scale_noise(latents, at, noise)
    else:
        mixed = scheduler.add_noise(latents, noise, at)
    return mixed
