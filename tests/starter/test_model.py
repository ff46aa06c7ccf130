"""The shipped model: whole, small, close to its originals, and it draws what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import verify
from sdtui.request import GenerationRequest
from sdtui.starter import MODEL_FOLDER
from sdtui.starter.references import Evaluation, background_distance


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
