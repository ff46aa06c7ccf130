"""Warm pipelines that the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui.bundle import Bundle
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from tests.diffusion.parity.measuring import Workshop


@pytest.fixture(scope="module")
def pipeline(tiny_bundle_fp32: Path) -> Iterator[Pipeline]:
    """The tiny model, all in float32."""
    pipeline = Pipeline(Bundle.open(tiny_bundle_fp32), "cpu-only", "fp32")
    yield pipeline
    pipeline.close()


@pytest.fixture
def request_() -> GenerationRequest:
    """A small request that ``pipeline`` can serve."""
    return GenerationRequest(
        prompt="a red apple", steps=4, seed=7, compute_units="cpu-only", precision="fp32"
    )


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A model of each family, made when it is first asked for."""
    made = Workshop(tmp_path_factory.mktemp("parity"))
    yield made
    made.close()
