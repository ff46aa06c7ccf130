"""Variations of a seed, and prompts that one picture lies between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given

from sdtui.diffusion.noise import Noise
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.variation import slerp, varied
from sdtui.request import GenerationRequest
from tests.diffusion.pictured import likeness
from tests.strategies import fractions, seeds

SHAPE = (1, 4, 6, 5)


@given(seed=seeds, other=seeds, fraction=fractions)
def test_what_lies_between_two_noises_is_as_large_as_they_are(seed: int, other: int, fraction: float) -> None:
    first, second = Noise(seed, "numpy").draw(SHAPE), Noise(other, "numpy").draw(SHAPE)
    between = slerp(first, second, fraction)
    low, high = sorted((float(first.norm()), float(second.norm())))
    assert 0.9 * low <= float(between.norm()) <= 1.1 * high
    assert between.dtype == torch.float32


@given(fraction=fractions)
def test_unit_vectors_stay_on_the_circle(fraction: float) -> None:
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    angle = fraction * np.pi / 2
    assert torch.allclose(
        slerp(east, north, fraction),
        torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32),
        atol=1e-6,
    )


def test_vectors_without_an_arc_between_them() -> None:
    vector = torch.tensor([1.0, 2.0])
    assert torch.allclose(slerp(vector, vector, 0.3), vector)
    assert torch.isfinite(slerp(vector, -vector, 0.5)).all()


def test_a_variation_goes_from_one_seed_to_the_other(pipeline: Pipeline, request_: GenerationRequest) -> None:
    def picture(strength: float) -> GenerationRequest:
        return request_.replace(variation_seed=8, variation_strength=strength)

    images = [pipeline.generate(picture(strength)).image for strength in (0.0, 0.1, 1.0)]
    own, others = (pipeline.generate(request_.replace(seed=seed)).image for seed in (7, 8))
    assert images[0] == own
    assert likeness(others, images[2]) >= 50
    assert likeness(own, others) < likeness(own, images[1]) < 50


@pytest.mark.parametrize("rng", ["numpy", "nvidia"])
def test_variations_are_of_the_same_source(rng: str) -> None:
    request = GenerationRequest(prompt="x", rng=rng, variation_seed=8, variation_strength=1.0)  # type: ignore[arg-type]
    noise = varied(Noise(7, request.rng).draw(SHAPE), request)
    assert torch.allclose(noise, Noise(8, request.rng).draw(SHAPE), atol=1e-5)


def test_a_blend_goes_from_one_prompt_to_the_other(pipeline: Pipeline, request_: GenerationRequest) -> None:
    other = "green pear"
    images = [
        pipeline.generate(request_.replace(blend_prompt=other, blend=blend)).image
        for blend in (0.0, 0.5, 1.0)
    ]
    ends = [pipeline.generate(request_.replace(prompt=prompt)).image for prompt in (request_.prompt, other)]
    assert [images[0], images[2]] == ends
    assert images[1] not in ends
