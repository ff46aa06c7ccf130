"""Guidance and the loop, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import Preview
from sdtui.bundle.scheduler import scheduler_config
from sdtui.diffusion.codec import decode
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.events import PipelineEvent, Step
from sdtui.diffusion.families import Conditions, Prompts
from sdtui.diffusion.loop import Leg, Steering, denoise, guide
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.previewing import show_colours
from sdtui.diffusion.schedulers import make_scheduler, pure
from sdtui.runtime import Array, load_network
from tests.tiny import SCHEDULER_CONFIG

SHAPE = (1, 4, 6, 5)
FIRST_THREE = Preview(matrix=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], bias=[0, 0, 0])
"""Shows the first three channels as they are."""


Predict = Callable[[Array, float], Array]
"""sample, timestep -> what a network answers."""


@dataclass(frozen=True)
class Answering:
    """A family whose network is a function."""

    function: Predict

    def condition(self, prompts: Prompts) -> Conditions:
        return {"rows": np.zeros((len(prompts.rows), 1), np.float32)}

    def predict(self, sample: Array, timestep: float, _conditions: Conditions) -> Array:
        return self.function(sample, timestep)


def walk(predict: Predict, scheduler: Any, guidance_scale: float = 1.0) -> tuple[torch.Tensor, list[Step]]:
    """The loop from the noise of seed 0, and the steps that it told of."""
    noise = Noise(0, "torch")
    events: list[PipelineEvent] = []
    latents = denoise(
        pure(scheduler, noise.draw(SHAPE)),
        [Leg(scheduler, scheduler.timesteps, Answering(predict), {})],
        Steering(guidance_scale),
        noise=noise,
        show=show_colours(FIRST_THREE),
        on_event=events.append,
        cancelled=lambda: False,
    )
    return latents, [event for event in events if isinstance(event, Step)]


def test_guidance_goes_from_the_negative_past_the_positive() -> None:
    predictions = torch.tensor([[1.0, 2.0], [2.0, 0.0]])
    assert guide(predictions, Steering(1.0)).tolist() == [[2.0, 0.0]]
    assert guide(predictions, Steering(3.0)).tolist() == [[4.0, -4.0]]
    assert guide(predictions[1:], Steering(3.0)).tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "flow"])
def test_numbers_that_are_not_finite_stop_the_picture_there(bad: float, prediction_type: str) -> None:
    asked: list[float] = []

    def breaks_third(sample: Array, timestep: float) -> Array:
        asked.append(timestep)
        return np.full_like(sample, bad) if len(asked) == 3 else sample

    if prediction_type == "flow":
        scheduler = make_scheduler("flow-euler", scheduler_config("sd3"), 9)
    else:
        scheduler = make_scheduler("dpm++2m", {**SCHEDULER_CONFIG, "prediction_type": prediction_type}, 9)
    with pytest.raises(DiffusionError, match=r"at step 3 of 9, .*, choose precision fp32"):
        walk(breaks_third, scheduler)
    assert len(asked) == 3


def test_a_decoder_that_overflows_is_told(tiny_bundle: Any) -> None:
    bundle = Bundle.open(tiny_bundle)
    decoder = load_network(bundle.network("vae_decoder"), "cpu-only", "fp32")
    with pytest.raises(DiffusionError, match="the picture broke in the VAE decoder"):
        decode(np.full((1, 4, 8, 8), np.inf, np.float32), decoder, bundle.manifest)
    decoder.close()
