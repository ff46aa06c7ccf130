"""Schedulers by name: diffusers' own, with the settings that the model was trained with."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdtui.bundle.bundle import SCHEDULER_FILE, Bundle, BundleError
from sdtui.diffusion.errors import DiffusionError
from sdtui.request import Scheduler


@dataclass(frozen=True)
class _Recipe:
    """A class in ``diffusers.schedulers`` (one module is imported, not all) and what we ask of it."""

    module: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


_DPM = ("scheduling_dpmsolver_multistep", "DPMSolverMultistepScheduler")
_RECIPES: Mapping[Scheduler, _Recipe] = {
    # Without Runge-Kutta steps: three network calls more at the start for nothing that shows.
    "pndm": _Recipe("scheduling_pndm", "PNDMScheduler", {"skip_prk_steps": True}),
    # Pixels end at 1, latents do not.
    "ddim": _Recipe("scheduling_ddim", "DDIMScheduler", {"clip_sample": False}),
    "dpm++2m": _Recipe(*_DPM),
    "dpm++2m-karras": _Recipe(*_DPM, {"use_karras_sigmas": True}),
    "euler": _Recipe("scheduling_euler_discrete", "EulerDiscreteScheduler"),
    "euler-a": _Recipe("scheduling_euler_ancestral_discrete", "EulerAncestralDiscreteScheduler"),
}


def import_schedulers() -> None:
    """Import diffusers' schedulers now: it takes seconds that the first picture need not wait for."""
    for recipe in _RECIPES.values():
        importlib.import_module(f"diffusers.schedulers.{recipe.module}")


def read_scheduler_config(bundle: Bundle) -> dict[str, Any]:
    """What the bundle's scheduler_config.json says. Raises :class:`BundleError`."""
    try:
        config = json.loads((bundle.path / SCHEDULER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"the scheduler settings of {bundle.name} cannot be read",
            str(error),
            "get or convert the model again",
        ) from error
    if not isinstance(config, dict):
        raise BundleError(
            f"the scheduler settings of {bundle.name} cannot be used",
            "they are not a JSON object",
            "get or convert the model again",
        )
    return config


def make_scheduler(name: Scheduler, config: Mapping[str, Any], steps: int) -> Any:
    """A fresh diffusers scheduler, its timesteps set to ``steps``.

    Of ``config`` (betas, prediction type, ...) it takes what it knows, whichever scheduler the model
    was published with. Raises :class:`DiffusionError` when it cannot do that many steps.
    """
    recipe = _RECIPES[name]
    scheduler_class = getattr(importlib.import_module(f"diffusers.schedulers.{recipe.module}"), recipe.name)
    known = inspect.signature(scheduler_class).parameters
    settings = {key: value for key, value in config.items() if key in known}
    scheduler = scheduler_class(**{**settings, **recipe.options})
    try:
        scheduler.set_timesteps(steps)
        possible = _is_walkable(scheduler)
    except (ValueError, IndexError):
        possible = False
    if not possible:
        raise DiffusionError(
            f"{name} cannot do {steps} steps",
            f"they do not fit into the {scheduler.config.num_train_timesteps} of the model",
            "ask for fewer steps or choose another scheduler",
        )
    return scheduler


def _is_walkable(scheduler: Any) -> bool:
    """Whether the timesteps lie inside the training's, and no two steps have the same noise level.

    diffusers offers such timesteps close to the number of training steps, and then divides by zero or
    indexes out of range halfway through the picture.
    """
    earliest, latest = scheduler.timesteps.aminmax()
    sigmas = getattr(scheduler, "sigmas", None)
    return bool(
        earliest >= 0
        and latest < scheduler.config.num_train_timesteps
        and (sigmas is None or (sigmas.diff() < 0).all())
    )
