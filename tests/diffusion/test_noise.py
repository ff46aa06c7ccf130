"""The same numbers as numpy, torch on a CPU and torch on an NVIDIA GPU draw."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sdtui.bundle.scheduler import scheduler_config
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.philox import cuda_randn, philox
from sdtui.diffusion.schedulers import RECIPES, make_scheduler, pure, shown
from sdtui.request import SEED_LIMIT, RandomSource, Scheduler
from tests.tiny import SCHEDULER_CONFIG

SHAPE = (1, 4, 6, 5)
SOURCES: tuple[RandomSource, ...] = ("numpy", "torch", "nvidia")

seeds = st.integers(0, SEED_LIMIT - 1)


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
        assert_array_equal(noise.draw(SHAPE).numpy(), state.randn(*SHAPE).astype(np.float32))
    generator = noise.generator()
    assert generator.initial_seed() == int(state.randint(2**32, dtype=np.uint64))


def test_ten_thousand_values_are_numpys_and_torchs_own() -> None:
    for shape in ((10_000,), (1, 4, 50, 50)):
        expected = np.random.RandomState(1234).randn(10_000).astype(np.float32)
        assert_array_equal(Noise(1234, "numpy").draw(shape).numpy().ravel(), expected)
        torch.manual_seed(1234)
        assert torch.equal(Noise(1234, "torch").draw(shape), torch.randn(shape))


def test_sources_differ_and_have_the_right_spread() -> None:
    drawn = [Noise(7, source).draw((100, 100)).numpy() for source in SOURCES]
    for values in drawn:
        assert values.dtype == np.float32
        assert abs(values.mean()) < 0.04
        assert abs(values.std() - 1) < 0.03
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert abs(np.corrcoef(drawn[first].ravel(), drawn[second].ravel())[0, 1]) < 0.04


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: str, key: str, answer: str) -> None:
    """https://github.com/DEShawResearch/random123, tests/kat_vectors, lines "philox4x32 10"."""
    both = np.stack([words(counter), words("0 0 0 0")], axis=1)
    assert_array_equal(philox(both, words(key))[:, 0], words(answer))


def words(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.array([int(word, 16) for word in text.split()], np.uint64)


def test_a_gpu_of_seed_0_draws_the_published_numbers() -> None:
    """As many tools that rebuild it print, and as ``torch.randn(..., device="cuda")`` rounds them."""
    published = """-0.92466259 -0.42534414 -2.64384580 0.14518388 -0.12086648 -0.57972562
                   -0.62285119 -0.32838708 -1.07454228 -0.36314407 -1.67105067 2.26550508"""
    assert_allclose(cuda_randn(0, 0, 12), np.array(published.split(), np.float32), rtol=0, atol=2e-7)


def test_a_gpu_of_seed_42_draws_what_was_reported() -> None:
    """``torch.randn([1, 64, 2048])`` of seed 42 on a GPU: https://github.com/pytorch/pytorch/issues/158398."""
    rows = Noise(42, "nvidia").draw((1, 64, 2048))[0]
    reported = [
        [0.1940, 2.1614, -0.1721, 1.4540, -2.7733, -0.8932],
        [-0.4574, 0.8063, 0.1580, 0.1124, 0.2769, -1.2535],
        [1.1346, -0.6329, -0.9147, -1.0001, -1.1552, -0.6955],
    ]
    assert_allclose(rows[:3, [0, 1, 2, -3, -2, -1]], reported, rtol=0, atol=5.1e-5)


def test_a_gpu_draws_other_numbers_with_each_call_and_each_seed() -> None:
    noise = Noise(7, "nvidia")
    first, second = noise.draw(SHAPE), noise.draw(SHAPE)
    assert_array_equal(second.ravel().numpy(), cuda_randn(7, 1, second.numel()))
    assert not torch.allclose(first, second)
    assert not np.allclose(cuda_randn(7, 0, 9), cuda_randn(8, 0, 9))
    assert not np.allclose(cuda_randn(7, 0, 9), cuda_randn(7 + 2**32, 0, 9))


def test_what_schedulers_draw_is_of_the_same_gpu_stream() -> None:
    noise = Noise(7, "nvidia")
    noise.draw(SHAPE)
    generator, other = noise.generator(), torch.Generator()
    with noise.stepping():
        drawn = torch.randn(torch.Size(SHAPE), generator=generator, dtype=torch.float16)
        torch.randn(SHAPE, generator=other.manual_seed(1))
        again = torch.randn(*SHAPE, generator=generator)
    assert drawn.dtype == torch.float16
    assert_allclose(drawn.float().ravel(), cuda_randn(7, 1, drawn.numel()), atol=2e-3)
    assert_array_equal(again.ravel().numpy(), cuda_randn(7, 2, again.numel()))
    # Afterwards torch draws for itself again.
    assert not torch.equal(torch.randn(SHAPE, generator=generator), Noise(7, "nvidia").draw(SHAPE))


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.stochastic])
def test_every_scheduler_that_draws_noise_draws_it_from_there(
    name: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scheduler_config("sd3") if RECIPES[name].flow else SCHEDULER_CONFIG

    def walk(generator: torch.Generator | None, noise: Noise) -> torch.Tensor:
        scheduler = make_scheduler(name, config, 4)
        latents = pure(scheduler, torch.ones(SHAPE))
        for timestep in scheduler.timesteps:
            prediction = 0.1 * shown(scheduler, latents, timestep)
            with noise.stepping():
                latents = scheduler.step(prediction, timestep, latents, generator=generator)[0]
        return latents

    noise = Noise(7, "nvidia")
    found = walk(noise.generator(), noise)
    calls = itertools.count()

    def drawn(shape: tuple[int, ...], **_options: object) -> torch.Tensor:
        return torch.from_numpy(cuda_randn(7, next(calls), math.prod(shape))).reshape(shape)

    monkeypatch.setattr(f"diffusers.schedulers.{RECIPES[name].module}.randn_tensor", drawn)
    assert torch.equal(found, walk(None, Noise(7, "torch")))
    assert next(calls) >= 3


@pytest.mark.parametrize("source", SOURCES)
def test_noise_at_steps_repeats(source: RandomSource) -> None:
    def drawn() -> torch.Tensor:
        noise = Noise(3, source)
        noise.draw(SHAPE)
        generator = noise.generator()
        with noise.stepping():
            return torch.randn(SHAPE, generator=generator)

    assert torch.equal(drawn(), drawn())
    assert not torch.equal(drawn(), Noise(3, source).draw(SHAPE))
