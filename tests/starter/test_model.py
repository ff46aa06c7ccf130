"""The shipped model: whole, small, close to its originals, and it draws what it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import verify
from sdtui.request import GenerationRequest
from sdtui.starter import MODEL_FOLDER
from sdtui.starter.evaluate import Drawer, Sampling
from sdtui.starter.references import Evaluation, background_distance
from sdtui.starter.sheet import prompts


@pytest.fixture(scope="module")
def evaluation() -> Iterator[Evaluation]:
    defaults = GenerationRequest(prompt="x")
    made = Evaluation(MODEL_FOLDER, defaults.steps, defaults.guidance_scale)
    yield made
    made.pipeline.close()


def test_the_bundle_is_whole_and_at_most_24_megabytes() -> None:
    bundle = Bundle.open(MODEL_FOLDER)
    verify(bundle)
    assert all(entry.psnr and entry.psnr >= 40 for entry in bundle.manifest.networks.values())
    files = [file for file in MODEL_FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 24_000_000
    assert "MIT License" in (MODEL_FOLDER / "NOTICE").read_text(encoding="utf-8")


def test_it_draws_what_it_is_told_where_it_is_told(evaluation: Evaluation) -> None:
    drawings = evaluation.drawings(10)
    assert sum(each.found == each.subject for each in drawings) >= 9
    assert background_distance(drawings, "blue") < 60


def test_the_same_request_gives_the_same_pixels_and_another_seed_others(evaluation: Evaluation) -> None:
    prompt = "red apple on a blue background"
    first = evaluation.draw(prompt, seed=7)
    assert evaluation.draw(prompt, seed=7).tobytes() == first.tobytes()
    assert evaluation.draw(prompt, seed=8).tobytes() != first.tobytes()
    assert evaluation.draw("banana on a blue background", seed=7).tobytes() != first.tobytes()


def test_the_sheet_has_64_prompts_and_each_names_something_the_model_knows() -> None:
    names = json.loads((MODEL_FOLDER / "subjects.json").read_text(encoding="utf-8"))
    asked = prompts()
    assert len({*asked}) == 64
    for prompt in asked:
        known = [name for name in names if re.search(rf"\b{re.escape(name)}\b", prompt)]
        assert len(known) >= 1 + bool(re.search(" next to | above | and |to the left of", prompt))


def test_the_judge_is_given_pictures_of_its_own_size() -> None:
    drawer = Drawer(MODEL_FOLDER)
    picture = drawer("red apple on a blue background", 1, Sampling(steps=1))
    drawer.pipeline.close()
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
