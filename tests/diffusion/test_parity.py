"""The same weights, prompt and seed give the picture that diffusers' own pipeline gives."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdtui.bundle import Bundle
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest, Scheduler
from tests.diffusion import schedulers
from tests.diffusion.pictured import decibels, drawing, drawn, expected, likeness
from tests.diffusion.schedulers import DIFFUSING
from tests.tiny import SCHEDULER_CONFIG, TinyTorch


@pytest.fixture(scope="module")
def theirs(tiny_torch: TinyTorch) -> Any:
    return drawing(tiny_torch)


@pytest.mark.parametrize("scheduler", DIFFUSING)
@pytest.mark.parametrize("steps", [1, 6])
def test_every_scheduler(
    scheduler: Scheduler, steps: int, pipeline: Pipeline, theirs: Any, request_: GenerationRequest
) -> None:
    request = request_.replace(scheduler=scheduler, steps=steps, negative_prompt="green pear")
    assert decibels(pipeline, theirs, request) >= 50


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0, 1.5, 12.0])
def test_every_strength_of_guidance(
    guidance_scale: float, pipeline: Pipeline, theirs: Any, request_: GenerationRequest
) -> None:
    request = request_.replace(guidance_scale=guidance_scale, negative_prompt="blue background")
    assert decibels(pipeline, theirs, request) >= 50


def test_a_prompt_that_does_not_fit(pipeline: Pipeline, theirs: Any, request_: GenerationRequest) -> None:
    request = request_.replace(prompt="a photo of the lighthouse on a blue background " * 3)
    assert decibels(pipeline, theirs, request) >= 50


@pytest.fixture(scope="module")
def foreseeing(tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The same networks, said to predict v."""
    copy = tmp_path_factory.mktemp("models") / "v"
    shutil.copytree(tiny_bundle_fp32, copy, copy_function=os.link)
    (copy / "scheduler_config.json").unlink()
    (copy / "scheduler_config.json").write_text(json.dumps(V_CONFIG))
    return Pipeline(Bundle.open(copy), "cpu-only", "fp32")


V_CONFIG = {**SCHEDULER_CONFIG, "prediction_type": "v_prediction"}


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++2m", "euler-a", "heun"])
def test_models_that_predict_v(
    scheduler: Scheduler, foreseeing: Pipeline, theirs: Any, request_: GenerationRequest
) -> None:
    request = request_.replace(scheduler=scheduler)
    picture = foreseeing.generate(request).image
    theirs.scheduler = schedulers.theirs(scheduler, V_CONFIG)
    assert likeness(drawn(theirs, request), picture) >= 50
    assert likeness(expected(theirs, request), picture) < 50
