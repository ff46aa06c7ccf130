"""A diffusers scheduler with the settings that the model was trained with. Light until it makes one."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from sdtui.bundle.bundle import SCHEDULER_FILE, Bundle, BundleError
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.schedulers.catalogue import RECIPES, Recipe, refuse_options
from sdtui.request import Scheduler, Sigmas, TimestepSpacing

SIGMA_OPTIONS: Mapping[Sigmas, str] = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}
_SCIPY = frozenset({"beta", "lms"})
"""What diffusers computes with SciPy."""


def import_schedulers() -> None:
    """Import diffusers' schedulers now: it takes seconds that the first picture need not wait for."""
    for recipe in RECIPES.values():
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


def make_scheduler(
    name: Scheduler,
    config: Mapping[str, Any],
    steps: int,
    *,
    spacing: TimestepSpacing | None = None,
    sigmas: Sigmas | None = None,
    cells: int | None = None,
) -> Any:
    """A fresh diffusers scheduler, its timesteps set to ``steps``.

    Of ``config`` (betas, prediction type, ...) it takes what it knows, whichever scheduler the model
    was published with; the timestep ``spacing`` and ``sigmas`` are the request's, None for the
    scheduler's own. ``cells`` of latents (h * w) count where the config shifts the timesteps of large
    pictures. Raises :class:`DiffusionError` when it cannot do that.
    """
    refuse_options(name, spacing, sigmas)
    for library_user in _SCIPY & {name, sigmas}:
        if find_spec("scipy") is None:
            raise DiffusionError(
                f"{library_user} cannot be computed", "it needs the library scipy", "run pip install scipy"
            )
    recipe = RECIPES[name]
    scheduler_class = getattr(importlib.import_module(f"diffusers.schedulers.{recipe.module}"), recipe.name)
    known = inspect.signature(scheduler_class).parameters
    options = {**config, **_flow_shift(config, known), **_asked(spacing, sigmas), **recipe.options}
    scheduler = scheduler_class(**{key: value for key, value in options.items() if key in known})
    try:
        scheduler.set_timesteps(steps, **_dynamic_shift(scheduler, cells))
        possible = _is_walkable(scheduler, recipe)
    except (ValueError, IndexError):
        possible = False
    if not possible:
        trained = getattr(scheduler.config, "original_inference_steps", scheduler.config.num_train_timesteps)
        raise DiffusionError(
            f"{name} cannot do {steps} steps",
            f"they do not fit into the {trained} of the model",
            "ask for fewer steps or choose another scheduler",
        )
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # it would search for the first timestep, and find an equal second
    return scheduler


def _asked(spacing: TimestepSpacing | None, sigmas: Sigmas | None) -> dict[str, Any]:
    """Constructor options; the name decides about sigmas, not what the model was published with."""
    options: dict[str, Any] = {option: kind == sigmas for kind, option in SIGMA_OPTIONS.items()}
    return options | ({"timestep_spacing": spacing} if spacing else {})


def _flow_shift(config: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The shift of flow models as the multistep solvers call it."""
    return {"flow_shift": config["shift"]} if "flow_shift" in known and "shift" in config else {}


def _dynamic_shift(scheduler: Any, cells: int | None) -> dict[str, float]:
    """``mu`` of Esser et al. 2024, section 5.3.2, interpolated by size as diffusers' SD3 pipeline does."""
    config = scheduler.config
    if not getattr(config, "use_dynamic_shifting", False) or cells is None:
        return {}
    tokens = cells // 4  # SD3 sees patches of 2 x 2
    smallest, largest = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.16)
    return {"mu": low + (high - low) * (tokens - smallest) / (largest - smallest)}


def _is_walkable(scheduler: Any, recipe: Recipe) -> bool:
    """Whether the timesteps lie inside the training's, and no two steps have the same noise level.

    diffusers offers such timesteps close to the number of training steps, and then divides by zero or
    indexes out of range halfway through the picture. The last level may repeat: DEIS ends above zero.
    """
    earliest, latest = scheduler.timesteps.aminmax()
    levels = getattr(scheduler, "sigmas", None)
    if levels is not None and scheduler.order == 2:
        levels = levels[1::2]  # each but the first is there twice
    beyond = scheduler.config.num_train_timesteps + recipe.flow
    return bool(earliest >= 0 and latest < beyond and (levels is None or (levels[:-1].diff() < 0).all()))
