"""Every scheduler finds its way, heeds what is asked of it, and is diffusers' own."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest
import torch

from sdtui.bundle.scheduler import scheduler_config
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.preview import denoised
from sdtui.diffusion.schedulers import (
    RECIPES,
    fitting,
    flows,
    image_timesteps,
    make_scheduler,
    noised,
    pure,
    shown,
)
from sdtui.diffusion.schedulers import making as making_module
from sdtui.request import SCHEDULERS, Scheduler, Sigmas, TimestepSpacing
from sdtui.runtime import Array
from tests.diffusion.schedulers import DIFFUSING, FLOWING, theirs
from tests.tiny import SCHEDULER_CONFIG

SHAPE = (1, 4, 6, 5)
FLOW_CONFIG = scheduler_config("sd3")
PICTURE = torch.linspace(-0.9, 0.9, 120).reshape(SHAPE)
SPACINGS: tuple[TimestepSpacing | None, ...] = (None, *get_args(TimestepSpacing))
SIGMAS: tuple[Sigmas | None, ...] = (None, *get_args(Sigmas))
CHOICES = (*((spacing, None) for spacing in SPACINGS), *itertools.product((None, "trailing"), SIGMAS[1:]))


def config(name: Scheduler, **changes: Any) -> Mapping[str, Any]:
    return {**(FLOW_CONFIG if name in FLOWING else SCHEDULER_CONFIG), **changes}


def exact(scheduler: Any, sample: Array, timestep: float) -> Array:
    """What a network predicts that knows the picture."""
    picture = PICTURE.numpy()
    if flows(scheduler):
        sigma = max(timestep / 1000, 1e-4)
        velocity: Array = (sample - picture) / sigma
        return velocity
    alpha = np.interp(timestep, np.arange(1000), scheduler.alphas_cumprod.numpy())
    noise: Array = (sample - np.sqrt(alpha) * picture) / np.sqrt(1 - alpha)
    return noise.astype(np.float32)


def walk(scheduler: Any, latents: torch.Tensor, timesteps: torch.Tensor) -> tuple[torch.Tensor, list[Array]]:
    """The latents at the end, and what each preview would show."""
    generator = torch.Generator().manual_seed(0)
    draws = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    estimates = []
    for timestep in timesteps:
        sample = shown(scheduler, latents, timestep)
        prediction = exact(scheduler, sample.numpy(), float(timestep))
        estimates.append(denoised(scheduler, sample.numpy(), prediction, float(timestep)))
        latents = scheduler.step(torch.from_numpy(prediction), timestep, latents, **draws, return_dict=False)[
            0
        ]
    return latents, estimates


def test_there_are_many() -> None:
    assert set(RECIPES) == set(SCHEDULERS)
    assert len(DIFFUSING) >= 14
    assert len(FLOWING) >= 3
    assert all(RECIPES[name].flow == (name in FLOWING) for name in SCHEDULERS)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_network_that_knows_the_picture_finds_it(name: Scheduler) -> None:
    """The exact prediction of a known picture leads to that picture, and every preview shows it."""
    scheduler = make_scheduler(name, config(name), 12)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    latents, estimates = walk(scheduler, pure(scheduler, noise), scheduler.timesteps)
    # DDIM, PNDM, DEIS and the like end at the first training timestep, where 3 % of the noise is left.
    assert (latents - PICTURE).abs().max() < 0.12
    assert max(np.abs(each - PICTURE.numpy()).max() for each in estimates) < 0.06


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("strength", [0.3, 0.55, 1.0])
def test_a_walk_that_starts_from_the_picture_stays_there(name: Scheduler, strength: float) -> None:
    scheduler = make_scheduler(name, config(name), 20)
    timesteps = image_timesteps(scheduler, 20, strength)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    start = noised(scheduler, PICTURE, noise, timesteps[0])
    estimate = denoised(
        scheduler,
        shown(scheduler, start, timesteps[0]).numpy(),
        exact(scheduler, shown(scheduler, start, timesteps[0]).numpy(), float(timesteps[0])),
        float(timesteps[0]),
    )
    assert np.abs(estimate - PICTURE.numpy()).max() < 0.06
    latents, _ = walk(scheduler, start, timesteps)
    # diffusers' LMS counts on steps before the first, and is led astray where there were none.
    assert (latents - PICTURE).abs().max() < (0.15 if name != "lms" or strength == 1 else 1.0)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_timesteps_are_cut_as_diffusers_pipelines_cut_them(name: Scheduler) -> None:
    from diffusers import StableDiffusion3Img2ImgPipeline, StableDiffusionImg2ImgPipeline

    pipeline = StableDiffusion3Img2ImgPipeline if name in FLOWING else StableDiffusionImg2ImgPipeline

    class Stub:
        scheduler = theirs(name, config(name))

    for steps, strength in ((1, 1.0), (4, 0.7), (5, 0.3), (7, 0.999), (20, 0.55)):
        ours = make_scheduler(name, config(name), steps)
        Stub.scheduler.set_timesteps(steps)
        expected, _ = pipeline.get_timesteps(Stub, steps, strength, "cpu")
        assert torch.equal(image_timesteps(ours, steps, strength), expected)
        assert getattr(ours, "begin_index", 0) == getattr(Stub.scheduler, "begin_index", 0)


def test_a_strength_of_no_step_is_refused() -> None:
    for name in ("dpm++2m", "heun", "flow-euler"):
        scheduler = make_scheduler(name, config(name), 20)
        with pytest.raises(DiffusionError, match=r"strength 0 changes nothing, .*, raise the strength"):
            image_timesteps(scheduler, 20, 0.0)
    with pytest.raises(DiffusionError, match=r"strength 0\.04 changes nothing"):
        image_timesteps(make_scheduler("ddim", SCHEDULER_CONFIG, 20), 20, 0.04)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_any_number_of_steps_ends_well_or_is_refused_at_once(name: Scheduler) -> None:
    small = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for steps in (1, 2, 3, 5, 999, 1000):
        try:
            scheduler = make_scheduler(name, config(name), steps)
        except DiffusionError as refusal:
            few = name in ("lcm", "tcd")
            assert steps == 1000 or (few and steps > 50)
            assert f"the {50 if few else 1000} of the model" in str(refusal)
            continue
        if steps > 5 and name == "lms":
            continue  # it integrates for seconds
        latents, draws = pure(scheduler, small), {}
        if "generator" in inspect.signature(scheduler.step).parameters:
            draws["generator"] = torch.Generator().manual_seed(0)
        for timestep in scheduler.timesteps:
            prediction = 0.1 * shown(scheduler, latents, timestep)
            latents = scheduler.step(prediction, timestep, latents, **draws, return_dict=False)[0]
        assert torch.isfinite(latents).all()


def test_the_model_decides_betas_and_prediction_type() -> None:
    changes = {"prediction_type": "v_prediction", "beta_end": 0.02, "unknown": 1}
    for name in DIFFUSING:
        scheduler = make_scheduler(name, config(name, **changes), 5)
        assert scheduler.config.prediction_type == "v_prediction"
        assert scheduler.betas[-1] == pytest.approx(0.02)


def test_the_name_decides_about_sigmas_and_solver() -> None:
    published = config("euler", use_karras_sigmas=True, algorithm_type="deis", solver_order=3)
    assert make_scheduler("dpm++2m-karras", SCHEDULER_CONFIG, 5).config.use_karras_sigmas
    plain = make_scheduler("dpm++2m", published, 5).config
    assert (plain.use_karras_sigmas, plain.algorithm_type, plain.solver_order) == (False, "dpmsolver++", 2)
    assert make_scheduler("dpm++2m-sde", published, 5).config.algorithm_type == "sde-dpmsolver++"


def test_flows_are_shifted_as_the_model_says() -> None:
    for name in FLOWING:
        usual, further = (make_scheduler(name, config(name, shift=shift), 6) for shift in (3.0, 6.0))
        assert further.timesteps[3] > usual.timesteps[3] + 50


def test_flows_of_large_pictures_are_shifted_further() -> None:
    dynamic = config("flow-euler", use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15)
    small, large = (make_scheduler("flow-euler", dynamic, 6, cells=side * side) for side in (64, 128))
    assert large.timesteps[3] > small.timesteps[3] + 50
    from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift

    expected = theirs("flow-euler", dynamic)
    expected.set_timesteps(6, mu=calculate_shift(64 * 64 // 4, 256, 4096, 0.5, 1.15))
    assert torch.equal(small.timesteps, expected.timesteps)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_option_shows_or_is_refused(name: Scheduler) -> None:
    """And where it shows, timesteps and noise levels are those of diffusers with that option."""
    seen: dict[tuple[float, ...], tuple[Any, ...]] = {}
    heeded: set[Any] = set()
    for spacing, sigmas in CHOICES:
        try:
            ours = make_scheduler(name, config(name), 3, spacing=spacing, sigmas=sigmas)
        except DiffusionError as refusal:
            assert refusal.what.startswith(f"{name} takes no")
            assert (spacing, sigmas) != (None, None)
            continue
        chosen: dict[str, Any] = {f"use_{sigmas}_sigmas": True} if sigmas else {}
        expected = theirs(name, config(name, **({"timestep_spacing": spacing} if spacing else {}), **chosen))
        expected.set_timesteps(3)
        assert torch.equal(ours.timesteps, expected.timesteps)
        levels = getattr(ours, "sigmas", ours.timesteps)
        assert torch.equal(levels, getattr(expected, "sigmas", expected.timesteps))
        # The same twice is only what the scheduler does by itself, asked for by name.
        default = (ours.config.get("timestep_spacing"), ours.config.get("use_karras_sigmas"))
        assert seen.setdefault(tuple(levels.tolist()), default) == default
        heeded |= {spacing, sigmas}
    assert RECIPES[name].spaced == heeded.issuperset(SPACINGS)
    assert not RECIPES[name].sigmas or heeded & {"karras", "exponential"}


@pytest.mark.parametrize(
    ("name", "spacing", "sigmas", "refusal"),
    [
        ("lcm", "trailing", None, "lcm takes no timestep spacing, it has timesteps of its own, leave it out"),
        (
            "ddim",
            None,
            "karras",
            "ddim takes no karras sigmas, it has noise levels of its own, leave them out",
        ),
        ("flow-heun", None, "beta", "flow-heun takes no beta sigmas, .* choose one of flow-euler, flow-lcm$"),
        ("euler-karras", None, "beta", "euler-karras takes no beta sigmas, .*, choose euler with them"),
        ("unipc", "leading", "beta", "takes no leading spacing with beta sigmas, .*, leave one of them out"),
        ("dpm++2m-karras", "leading", None, "takes no timestep spacing"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    name: Scheduler, spacing: TimestepSpacing | None, sigmas: Sigmas | None, refusal: str
) -> None:
    with pytest.raises(DiffusionError, match=refusal):
        make_scheduler(name, config(name), 10, spacing=spacing, sigmas=sigmas)


def test_names_fit_the_model() -> None:
    assert fitting("euler", flow=False) == "euler"
    assert fitting("flow-heun", flow=True) == "flow-heun"
    assert fitting("dpm++2m", flow=True) == "flow-dpm++2m"
    with pytest.raises(
        DiffusionError, match=r"ddim cannot walk this model, .* flow, choose one of flow-euler"
    ):
        fitting("ddim", flow=True)
    with pytest.raises(DiffusionError, match=r"flow-euler cannot walk this model, .*, choose one of pndm"):
        fitting("flow-euler", flow=False)


def test_what_needs_scipy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making_module, "find_spec", lambda _name: None)
    make_scheduler("euler", SCHEDULER_CONFIG, 5)
    for name, sigmas in (("lms", None), ("euler", "beta")):
        with pytest.raises(DiffusionError, match="needs the library scipy, run pip install scipy"):
            make_scheduler(name, SCHEDULER_CONFIG, 5, sigmas=sigmas)  # type: ignore[arg-type]


def test_noise_at_steps_is_drawn_by_those_that_say_so() -> None:
    for name in SCHEDULERS:
        scheduler = make_scheduler(name, config(name), 4)
        if "generator" not in inspect.signature(scheduler.step).parameters:
            assert not RECIPES[name].stochastic
            continue
        generator = torch.Generator().manual_seed(0)
        before = generator.get_state()
        latents = torch.zeros(SHAPE)
        for timestep in scheduler.timesteps:
            step = scheduler.step(latents, timestep, latents, generator=generator, return_dict=False)
            latents = step[0]
        assert RECIPES[name].stochastic != torch.equal(generator.get_state(), before)
