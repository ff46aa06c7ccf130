"""Who goes which part of the way from noise to a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdtui.diffusion.course import Player, legs, starting_latents
from sdtui.diffusion.families import Conditions, Prompts
from sdtui.diffusion.loop import Steering, denoise
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.schedulers import make_scheduler
from sdtui.request import GenerationRequest, Scheduler
from sdtui.runtime import Array
from tests.diffusion.schedulers import DIFFUSING
from tests.strategies import fractions
from tests.tiny import SCHEDULER_CONFIG

SHAPE = (1, 4, 6, 5)


@dataclass
class Recording:
    """A family that predicts no noise, and remembers what it was shown and told."""

    seen: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def condition(self, prompts: Prompts) -> Conditions:
        raise NotImplementedError

    def predict(self, sample: Array, _timestep: float, conditions: Conditions) -> Array:
        self.seen.append((sample.shape[1], frozenset(conditions)))
        return np.zeros(SHAPE, np.float32)


def test_a_refiner_takes_over_and_is_shown_the_sample_alone() -> None:
    base, refiner = Recording(), Recording()
    request = GenerationRequest(prompt="x", steps=4, refiner_start=0.5)
    players = [(base, {"words": np.zeros((1, 2))}), (refiner, {"score": np.zeros((1, 1))})]
    walk = legs(request, partial(make_scheduler, "euler", SCHEDULER_CONFIG, 4), players)
    noise = Noise(0, "torch")
    denoise(
        starting_latents(walk, noise.draw(SHAPE), None),
        walk,
        Steering(
            tell=lambda _sample, _moment, told: {**told, "residual": np.zeros((1, 1))},
            channels=np.zeros((1, 5, 6, 5), np.float32),
        ),
        noise=noise,
        show=lambda _estimate, _moment: None,
        on_event=lambda _: None,
        cancelled=lambda: False,
    )
    assert base.seen == [(9, frozenset({"words", "residual"}))] * 2
    assert refiner.seen == [(4, frozenset({"score"}))] * 2


@settings(max_examples=60)
@given(
    scheduler=st.sampled_from(DIFFUSING),
    steps=st.integers(1, 30),
    start=fractions,
    strength=st.none() | st.floats(0.1, 1),
)
def test_no_step_is_lost_between_two_models(
    scheduler: Scheduler, steps: int, start: float, strength: float | None
) -> None:
    pictured = {} if strength is None else {"image": "/p.png", "strength": max(strength, 1 / steps)}
    request = GenerationRequest(prompt="x", steps=steps, refiner_start=start, **pictured)  # type: ignore[arg-type]
    make = partial(make_scheduler, scheduler, SCHEDULER_CONFIG, steps)
    player: Player = (Recording(), {})
    (whole,) = legs(request, make, [player])
    parts = legs(request, make, [player, player])
    walked = [round(float(timestep)) for leg in parts for timestep in leg.timesteps]
    assert set(walked) == set(map(round, whole.timesteps.tolist()))
    assert walked == sorted(walked, reverse=True)
    assert abs(len(walked) - len(whole.timesteps)) <= (whole.scheduler.order == 2)
    assert all(torch.isfinite(starting_latents(parts, torch.ones(SHAPE), torch.ones(SHAPE))).flatten())
