"""Scheduler settings by family, for models that come without them. Light.

These are the settings that the models were trained and published with (their scheduler_config.json):
Rombach et al. 2022 for Stable Diffusion 1 and 2, Podell et al. 2023 for XL, Esser et al. 2024 for 3.
"""

from __future__ import annotations

from typing import Any, Literal

from sdtui.bundle.manifest import Family

PredictionType = Literal["epsilon", "v_prediction"]


def scheduler_config(family: Family, prediction_type: PredictionType = "epsilon") -> dict[str, Any]:
    """What scheduler_config.json holds for ``family``; SD3 flows, whatever the prediction type."""
    if family == "sd3":
        return {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
    noise = {
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "steps_offset": 1,
        "prediction_type": prediction_type,
    }
    if family == "sd":
        kind = {"skip_prk_steps": True, "set_alpha_to_one": False, "clip_sample": False}
        return {"_class_name": "PNDMScheduler", **noise, **kind}
    return {"_class_name": "EulerDiscreteScheduler", **noise, "timestep_spacing": "leading"}
