"""The imitation is like the framework, which takes what we say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import coremltools
import pytest

from sdtui.runtime import Profile
from sdtui.runtime.apple.ladder import hints
from sdtui.runtime.apple.macos import MacOS
from tests.runtime.apple.mac import SEQUOIA, SPLIT
from tests.runtime.framework import ComputeUnit, Framework, ReshapeFrequency, SpecializationStrategy


def test_the_imitation_has_the_signatures_of_coremltools() -> None:
    imitation = Framework().module
    real = coremltools.models
    for ours, theirs in (
        (imitation.models.CompiledMLModel.__init__, real.CompiledMLModel.__init__),
        (imitation.models.CompiledMLModel.predict, real.CompiledMLModel.predict),
        (imitation.models.utils.compile_model, real.utils.compile_model),
    ):
        assert _parameters(ours) == _parameters(theirs)
    for enumeration in (ComputeUnit, ReshapeFrequency, SpecializationStrategy):
        theirs = getattr(coremltools, enumeration.__name__)
        assert {each.name: each.value for each in enumeration} == {each.name: each.value for each in theirs}


def _parameters(function: Callable[..., Any]) -> list[tuple[str, bool]]:
    """Names, and whether they may be left out."""
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.default is not inspect.Parameter.empty) for each in parameters]


def test_coremltools_takes_our_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coremltools.models.model._macos_version", lambda: (15, 1))
    verify = coremltools.models.model._verify_optimization_hint_input
    decoder = Profile("vae_decoder", "sd", 512, 512)
    for profile in (SPLIT, decoder, None):
        known = hints(profile, SEQUOIA)
        assert known
        verify(known)
    assert hints(SPLIT, SEQUOIA) == {
        "reshapeFrequency": coremltools.ReshapeFrequency.Infrequent,
        "specializationStrategy": coremltools.SpecializationStrategy.FastPrediction,
    }
    assert hints(decoder, SEQUOIA) == {"reshapeFrequency": coremltools.ReshapeFrequency.Infrequent}
    assert hints(SPLIT, MacOS("14.7", "23H124")) is None
