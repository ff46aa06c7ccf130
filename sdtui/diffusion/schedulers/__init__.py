"""Schedulers by the names people know: diffusers' own, set up as the model was trained. Light."""

from __future__ import annotations

from sdtui.diffusion.schedulers.catalogue import RECIPES, Recipe, fitting, refuse_options
from sdtui.diffusion.schedulers.making import import_schedulers, make_scheduler, read_scheduler_config
from sdtui.diffusion.schedulers.starting import flows, image_timesteps, noised, pure, shown

__all__ = [
    "RECIPES",
    "Recipe",
    "fitting",
    "flows",
    "image_timesteps",
    "import_schedulers",
    "make_scheduler",
    "noised",
    "pure",
    "read_scheduler_config",
    "refuse_options",
    "shown",
]
