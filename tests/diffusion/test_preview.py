"""Small pictures of latents, as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.bundle.manifest import Preview
from sdtui.bundle.scheduler import scheduler_config
from sdtui.diffusion.preview import denoised, render, signal, without_flow, without_noise
from sdtui.diffusion.schedulers import make_scheduler
from tests.tiny import SCHEDULER_CONFIG

SHAPE = (1, 4, 6, 5)


@given(alpha=st.floats(0.01, 0.99))
def test_previews_see_under_the_noise_in_every_prediction_type(alpha: float) -> None:
    random = np.random.default_rng(0)
    x0, noise = random.normal(size=(2, *SHAPE))
    sample = np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * noise
    velocity = np.sqrt(alpha) * noise - np.sqrt(1 - alpha) * x0
    for kind, prediction in (("epsilon", noise), ("v_prediction", velocity), ("sample", x0)):
        assert np.allclose(without_noise(sample, prediction, alpha, kind), x0)
    assert np.allclose(without_flow((1 - alpha) * x0 + alpha * noise, noise - x0, alpha), x0)


def test_the_signal_between_timesteps_lies_between_theirs() -> None:
    scheduler = make_scheduler("euler-karras", SCHEDULER_CONFIG, 5)
    alphas = scheduler.alphas_cumprod
    assert signal(scheduler, 400) == pytest.approx(float(alphas[400]))
    assert float(alphas[401]) < signal(scheduler, 400.5) < float(alphas[400])
    # Karras' timesteps are no whole numbers, and these are the levels that the scheduler walks.
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        assert signal(scheduler, float(timestep)) == pytest.approx(1 / (1 + float(sigma) ** 2), rel=1e-3)


def test_a_first_timestep_that_is_all_noise_gives_a_preview() -> None:
    config = {**SCHEDULER_CONFIG, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    scheduler = make_scheduler("ddim", config, 4, spacing="trailing")
    ones = np.ones(SHAPE, np.float32)
    assert float(scheduler.alphas_cumprod[999]) == 0
    assert np.allclose(denoised(scheduler, ones, ones, 999.0), -1, atol=1e-3)


def test_a_flow_at_its_start_is_all_noise() -> None:
    scheduler = make_scheduler("flow-euler", scheduler_config("sd3"), 4)
    x0, noise = np.random.default_rng(0).normal(size=(2, *SHAPE))
    timestep = float(scheduler.timesteps[0])
    assert timestep == 1000
    assert np.allclose(denoised(scheduler, noise, noise - x0, timestep), x0)


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
