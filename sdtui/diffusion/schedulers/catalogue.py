"""Which scheduler each name is, and what can be asked of it. Light: the command line imports this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdtui.diffusion.errors import DiffusionError
from sdtui.request import Scheduler, Sigmas, TimestepSpacing


@dataclass(frozen=True)
class Recipe:
    """A class in ``diffusers.schedulers``, and what we ask of it.

    One ``module`` is imported, not all. ``options`` are the constructor's. ``flow`` says that it walks
    models that predict a flow (SD3), others walk those that predict noise or v. ``spaced``: it takes
    a timestep spacing; ``sigmas``: it takes Karras', exponential or beta sigmas; ``both``: the spacing
    still shows where such sigmas are chosen. ``stochastic``: it draws noise at every step.
    """

    title: str
    module: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    flow: bool = False
    spaced: bool = True
    sigmas: bool = False
    both: bool = False
    stochastic: bool = False


_KARRAS = {"use_karras_sigmas": True}
_DPM = ("scheduling_dpmsolver_multistep", "DPMSolverMultistepScheduler")
_DPM_SINGLE = ("scheduling_dpmsolver_singlestep", "DPMSolverSinglestepScheduler")
_UNIPC = ("scheduling_unipc_multistep", "UniPCMultistepScheduler")
_EULER = ("scheduling_euler_discrete", "EulerDiscreteScheduler")
_ODE = {"algorithm_type": "dpmsolver++", "solver_order": 2}
_SDE = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}
_SINGLE = {"lower_order_final": True}
_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

RECIPES: Mapping[Scheduler, Recipe] = {
    # Without Runge-Kutta steps: three network calls more at the start for nothing that shows.
    "pndm": Recipe("PNDM (PLMS)", "scheduling_pndm", "PNDMScheduler", {"skip_prk_steps": True}),
    # Pixels end at 1, latents do not: what clips them is switched off.
    "ddim": Recipe("DDIM", "scheduling_ddim", "DDIMScheduler", {"clip_sample": False}),
    "ddpm": Recipe("DDPM", "scheduling_ddpm", "DDPMScheduler", {"clip_sample": False}, stochastic=True),
    "dpm++2m": Recipe("DPM++ 2M", *_DPM, _ODE, sigmas=True),
    "dpm++2m-karras": Recipe("DPM++ 2M Karras", *_DPM, _ODE | _KARRAS, spaced=False, sigmas=True),
    "dpm++2m-sde": Recipe("DPM++ 2M SDE", *_DPM, _SDE, sigmas=True, stochastic=True),
    "dpm++2m-sde-karras": Recipe(
        "DPM++ 2M SDE Karras", *_DPM, _SDE | _KARRAS, spaced=False, sigmas=True, stochastic=True
    ),
    "dpm++2s": Recipe("DPM++ 2S", *_DPM_SINGLE, _ODE | _SINGLE, spaced=False, sigmas=True),
    # diffusers has another class for it, whose Brownian tree wants a library that few have.
    "dpm++sde": Recipe("DPM++ SDE", *_DPM_SINGLE, _SDE | _SINGLE, spaced=False, sigmas=True, stochastic=True),
    "dpm2": Recipe("DPM2", "scheduling_k_dpm_2_discrete", "KDPM2DiscreteScheduler", sigmas=True, both=True),
    "dpm2-a": Recipe(
        "DPM2 a",
        "scheduling_k_dpm_2_ancestral_discrete",
        "KDPM2AncestralDiscreteScheduler",
        sigmas=True,
        both=True,
        stochastic=True,
    ),
    "heun": Recipe("Heun", "scheduling_heun_discrete", "HeunDiscreteScheduler", sigmas=True, both=True),
    "lms": Recipe("LMS", "scheduling_lms_discrete", "LMSDiscreteScheduler", sigmas=True, both=True),
    "euler": Recipe("Euler", *_EULER, sigmas=True, both=True),
    "euler-a": Recipe(
        "Euler a",
        "scheduling_euler_ancestral_discrete",
        "EulerAncestralDiscreteScheduler",
        stochastic=True,
    ),
    "euler-karras": Recipe("Euler Karras", *_EULER, _KARRAS, sigmas=True, both=True),
    "unipc": Recipe("UniPC", *_UNIPC, {"solver_order": 2}, sigmas=True),
    "deis": Recipe(
        "DEIS",
        "scheduling_deis_multistep",
        "DEISMultistepScheduler",
        {"algorithm_type": "deis", "solver_order": 2},
        sigmas=True,
    ),
    "lcm": Recipe("LCM", "scheduling_lcm", "LCMScheduler", spaced=False, stochastic=True),
    "tcd": Recipe("TCD", "scheduling_tcd", "TCDScheduler", spaced=False, stochastic=True),
    "flow-euler": Recipe(
        "Flow Euler",
        "scheduling_flow_match_euler_discrete",
        "FlowMatchEulerDiscreteScheduler",
        flow=True,
        spaced=False,
        sigmas=True,
    ),
    "flow-heun": Recipe(
        "Flow Heun",
        "scheduling_flow_match_heun_discrete",
        "FlowMatchHeunDiscreteScheduler",
        flow=True,
        spaced=False,
    ),
    "flow-dpm++2m": Recipe("Flow DPM++ 2M", *_DPM, _ODE | _FLOW, flow=True, spaced=False),
    "flow-unipc": Recipe("Flow UniPC", *_UNIPC, _FLOW | {"solver_order": 2}, flow=True, spaced=False),
    "flow-lcm": Recipe(
        "Flow LCM",
        "scheduling_flow_match_lcm",
        "FlowMatchLCMScheduler",
        flow=True,
        spaced=False,
        sigmas=True,
        stochastic=True,
    ),
}


def fitting(name: Scheduler, *, flow: bool) -> Scheduler:
    """The scheduler that ``name`` means for a model that predicts a flow, or one that does not.

    For a flow ``euler`` is ``flow-euler``, where there is such a one. Raises :class:`DiffusionError`.
    """
    if RECIPES[name].flow == flow:
        return name
    if flow and (counterpart := next((each for each in RECIPES if each == f"flow-{name}"), None)):
        return counterpart
    known = (each for each, recipe in RECIPES.items() if recipe.flow == flow)
    raise DiffusionError(
        f"{name} cannot walk this model",
        "the model predicts a flow" if flow else "the model does not predict a flow",
        f"choose one of {', '.join(known)}",
    )


def refuse_options(name: Scheduler, spacing: TimestepSpacing | None, sigmas: Sigmas | None) -> None:
    """Raise :class:`DiffusionError` where ``name`` would not heed an option that was chosen for it."""
    recipe = RECIPES[name]
    if spacing is not None and not recipe.spaced:
        raise DiffusionError(
            f"{name} takes no timestep spacing",
            "it has timesteps of its own",
            f"leave it out, or choose one of {_names(name, lambda each: each.spaced)}",
        )
    if sigmas is not None and not recipe.sigmas:
        raise DiffusionError(
            f"{name} takes no {sigmas} sigmas",
            "it has noise levels of its own",
            f"leave them out, or choose one of {_names(name, lambda each: each.sigmas)}",
        )
    if sigmas not in (None, "karras") and recipe.options.get("use_karras_sigmas"):
        raise DiffusionError(
            f"{name} takes no {sigmas} sigmas",
            "its name says which it has",
            f"choose {name.removesuffix('-karras')} with them",
        )
    if spacing is not None and sigmas is not None and not recipe.both:
        raise DiffusionError(
            f"{name} takes no {spacing} spacing with {sigmas} sigmas",
            "those decide its timesteps",
            "leave one of them out",
        )


def _names(like: Scheduler, able: Callable[[Recipe], bool]) -> str:
    """Those that walk the same models as ``like`` and are ``able``."""
    flow = RECIPES[like].flow
    return ", ".join(name for name, recipe in RECIPES.items() if recipe.flow == flow and able(recipe))
