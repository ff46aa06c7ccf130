"""Noise, guidance, the loop and its previews, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import Preview
from sdtui.diffusion.codec import decode
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.events import PipelineEvent, Step
from sdtui.diffusion.loop import Predict, denoise, guide
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.preview import denoised, render
from sdtui.diffusion.schedulers import make_scheduler
from sdtui.request import SCHEDULERS, SEED_LIMIT, Scheduler
from sdtui.runtime import Array, load_network
from tests.tiny import SCHEDULER_CONFIG

SHAPE = (1, 4, 6, 5)
FIRST_THREE = Preview(matrix=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], bias=[0, 0, 0])
"""Shows the first three channels as they are."""

seeds = st.integers(0, SEED_LIMIT - 1)


def walk(predict: Predict, scheduler: Any, guidance_scale: float = 1.0) -> tuple[torch.Tensor, list[Step]]:
    """The loop from the noise of seed 0, and the steps that it told of."""
    noise = Noise(0, "torch")
    events: list[PipelineEvent] = []
    latents = denoise(
        noise.draw(SHAPE),
        scheduler,
        predict,
        guidance_scale=guidance_scale,
        generator=noise.generator(),
        colours=FIRST_THREE,
        on_event=events.append,
        cancelled=lambda: False,
    )
    return latents, [event for event in events if isinstance(event, Step)]


@given(seed=seeds)
def test_torch_noise_is_what_torch_draws(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    noise = Noise(seed, "torch")
    for drawn in (noise.draw(SHAPE), noise.draw(SHAPE), torch.randn(SHAPE, generator=noise.generator())):
        assert torch.equal(drawn, torch.randn(SHAPE, generator=generator))


@given(seed=seeds)
def test_numpy_noise_is_what_numpy_draws(seed: int) -> None:
    noise, state = Noise(seed, "numpy"), np.random.RandomState(seed)
    for _ in range(2):
        assert np.array_equal(noise.draw(SHAPE).numpy(), state.randn(*SHAPE).astype(np.float32))
    generator = noise.generator()
    assert generator.initial_seed() == int(state.randint(2**32, dtype=np.uint64))


def test_noise_of_numpy_is_not_that_of_torch() -> None:
    assert not torch.allclose(Noise(7, "numpy").draw(SHAPE), Noise(7, "torch").draw(SHAPE))


def test_guidance_goes_from_the_negative_past_the_positive() -> None:
    predictions = torch.tensor([[1.0, 2.0], [2.0, 0.0]])
    assert guide(predictions, 1.0).tolist() == [[2.0, 0.0]]
    assert guide(predictions, 3.0).tolist() == [[4.0, -4.0]]
    assert guide(predictions[1:], 3.0).tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_network_that_knows_the_picture_finds_it(scheduler: Scheduler) -> None:
    """The exact noise of a known picture leads to that picture, with every scheduler, in any preview."""
    picture = torch.linspace(-0.9, 0.9, 120).reshape(SHAPE).numpy()
    walker = make_scheduler(scheduler, SCHEDULER_CONFIG, 12)
    alphas = walker.alphas_cumprod.numpy()

    def exact(sample: Array, timestep: float) -> Array:
        alpha = np.interp(timestep, np.arange(1000), alphas)
        noise: Array = (sample - np.sqrt(alpha) * picture) / np.sqrt(1 - alpha)
        return noise.astype(np.float32)

    latents, steps = walk(exact, walker)
    # DDIM and PNDM end at the first training timestep, where 3 % of the noise is left.
    assert np.abs(latents.numpy() - picture).max() < 0.12
    expected = np.frombuffer(render(picture, FIRST_THREE).rgb, np.uint8).astype(int)
    for step in steps:
        assert step.preview is not None
        assert np.abs(np.frombuffer(step.preview.rgb, np.uint8) - expected).max() <= 8


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_stop_the_picture_there(bad: float) -> None:
    asked: list[float] = []

    def breaks_third(sample: Array, timestep: float) -> Array:
        asked.append(timestep)
        return np.full_like(sample, bad) if len(asked) == 3 else sample

    with pytest.raises(DiffusionError, match=r"at step 3 of 9, .*, choose precision fp32"):
        walk(breaks_third, make_scheduler("dpm++2m", SCHEDULER_CONFIG, 9))
    assert len(asked) == 3


def test_a_decoder_that_overflows_is_told(tiny_bundle: Any) -> None:
    bundle = Bundle.open(tiny_bundle)
    decoder = load_network(bundle.network("vae_decoder"), "cpu-only", "fp32")
    with pytest.raises(DiffusionError, match="the picture broke in the VAE decoder"):
        decode(np.full((1, 4, 8, 8), np.inf, np.float32), decoder, bundle.manifest)
    decoder.close()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 998, 999, 1000])
def test_any_number_of_steps_ends_well_or_is_refused_at_once(scheduler: Scheduler, steps: int) -> None:
    try:
        walker = make_scheduler(scheduler, SCHEDULER_CONFIG, steps)
    except DiffusionError as refusal:
        assert steps == 1000
        assert "1000 of the model" in str(refusal)
        return
    latents, told = walk(lambda sample, _timestep: 0.1 * sample, walker)
    assert torch.isfinite(latents).all()
    assert told[-1].index == told[-1].total == len(walker.timesteps)


def test_the_model_decides_betas_and_prediction_type() -> None:
    config = {**SCHEDULER_CONFIG, "prediction_type": "v_prediction", "beta_end": 0.02, "unknown": 1}
    for name in SCHEDULERS:
        scheduler = make_scheduler(name, config, 5)
        assert scheduler.config.prediction_type == "v_prediction"
        assert scheduler.betas[-1] == pytest.approx(0.02)
    assert make_scheduler("dpm++2m-karras", config, 5).config.use_karras_sigmas
    assert not make_scheduler("dpm++2m", config, 5).config.use_karras_sigmas


@given(alpha=st.floats(0.01, 0.99))
def test_previews_see_under_the_noise_in_every_prediction_type(alpha: float) -> None:
    random = np.random.default_rng(0)
    x0, noise = random.normal(size=(2, *SHAPE))
    sample = np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * noise
    velocity = np.sqrt(alpha) * noise - np.sqrt(1 - alpha) * x0
    for kind, prediction in (("epsilon", noise), ("v_prediction", velocity), ("sample", x0)):
        assert np.allclose(denoised(sample, prediction, alpha, kind), x0)


def test_a_preview_is_rows_of_rgb() -> None:
    latents = np.zeros((1, 2, 2, 3), np.float32)
    latents[0, 0, 0, 1] = 1
    latents[0, 1, 1, 2] = -5
    preview = render(latents, Preview(matrix=[[1, 0], [0, 1], [0, 0]], bias=[0, 0, 1]))
    assert (preview.width, preview.height) == (3, 2)
    pixels = np.frombuffer(preview.rgb, np.uint8).reshape(2, 3, 3)
    assert pixels[0, 0].tolist() == [128, 128, 255]
    assert pixels[0, 1].tolist() == [255, 128, 255]
    assert pixels[1, 2].tolist() == [128, 0, 255]
