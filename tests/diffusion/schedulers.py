"""Every scheduler as a person would set it up with diffusers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from sdtui.request import SCHEDULERS, Scheduler

_SDE = {"algorithm_type": "sde-dpmsolver++"}
_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}

THEIRS: Mapping[Scheduler, tuple[Any, Mapping[str, Any]]] = {
    "pndm": (PNDMScheduler, {}),
    "ddim": (DDIMScheduler, {}),
    "ddpm": (DDPMScheduler, {}),
    "dpm++2m": (DPMSolverMultistepScheduler, {}),
    "dpm++2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpm++2m-sde": (DPMSolverMultistepScheduler, _SDE),
    "dpm++2m-sde-karras": (DPMSolverMultistepScheduler, {**_SDE, "use_karras_sigmas": True}),
    "dpm++2s": (DPMSolverSinglestepScheduler, {}),
    "dpm++sde": (DPMSolverSinglestepScheduler, _SDE),
    "dpm2": (KDPM2DiscreteScheduler, {}),
    "dpm2-a": (KDPM2AncestralDiscreteScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    "lms": (LMSDiscreteScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "euler-a": (EulerAncestralDiscreteScheduler, {}),
    "euler-karras": (EulerDiscreteScheduler, {"use_karras_sigmas": True}),
    "unipc": (UniPCMultistepScheduler, {}),
    "deis": (DEISMultistepScheduler, {}),
    "lcm": (LCMScheduler, {}),
    "tcd": (TCDScheduler, {}),
    "flow-euler": (FlowMatchEulerDiscreteScheduler, {}),
    "flow-heun": (FlowMatchHeunDiscreteScheduler, {}),
    "flow-dpm++2m": (DPMSolverMultistepScheduler, _FLOW),
    "flow-unipc": (UniPCMultistepScheduler, _FLOW),
    "flow-lcm": (FlowMatchLCMScheduler, {}),
}
"""A class of diffusers, and the options that its documentation gives for the name."""

STEP_OPTIONS: Mapping[Scheduler, Mapping[str, Any]] = {"tcd": {"eta": 0.3}}
"""What a diffusers pipeline is called with so that it does what the scheduler does by itself."""

FLOWING = tuple(name for name in SCHEDULERS if name.startswith("flow-"))
DIFFUSING = tuple(name for name in SCHEDULERS if name not in FLOWING)


def theirs(name: Scheduler, config: Mapping[str, Any], **options: Any) -> Any:
    """diffusers' scheduler of that name for a model with this scheduler_config.json."""
    scheduler_class, own = THEIRS[name]
    return scheduler_class.from_config(dict(config), **own, **options)
