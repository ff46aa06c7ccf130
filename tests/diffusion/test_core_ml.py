"""A picture on the Core ML framework, which is imitated: what a person on a Mac sees of it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from sdtui.bundle import Bundle
from sdtui.bundle.library import STARTER_PATH
from sdtui.cli.model_facts import facts, lines
from sdtui.diffusion.events import Encoding, Loading, PipelineEvent
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from sdtui.runtime.apple.entries import cache_entries
from tests.runtime.framework import Framework

REQUEST = GenerationRequest(prompt="a red apple", steps=2, seed=7)


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch, home: Path) -> Framework:
    """A Mac, as far as the runtime can tell; its cache lies in ``home``."""
    imitation = Framework()
    monkeypatch.setitem(sys.modules, "coremltools", imitation.module)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home.exists()
    return imitation


def test_stages_and_fallbacks_are_told(framework: Framework, tiny_bundle: Path) -> None:
    """The second start goes to the units that the first one ended on."""
    bundle = _with_known_attention(tiny_bundle)
    framework.refuses_load = lambda units: units == "CPU_AND_GPU" and len(framework.compiled) == 2
    first, second = [_made(bundle) for _ in range(2)]
    assert [(event.network, event.index, event.stage) for event in first[1] if event.elapsed] == [
        ("text_encoder", 1, "compiling"),
        ("text_encoder", 1, "specialising"),
        ("text_encoder", 1, "ready"),
        ("unet", 2, "compiling"),
        ("unet", 2, "specialising"),
        ("unet", 2, "specialising"),
        ("unet", 2, "ready"),
        ("vae_decoder", 3, "compiling"),
        ("vae_decoder", 3, "specialising"),
        ("vae_decoder", 3, "ready"),
    ]
    note = "cpu-and-gpu failed (unable to load the model), cpu-only is used instead"
    assert [event.note for event in first[1] if event.note] == [note]
    assert first[0] == second[0] == "coreml cpu-only"
    assert {event.stage for event in second[1]} == {"loading", "ready"}
    assert not any(event.note for event in second[1])
    compiled = facts(bundle)["compiled_bytes"]
    assert 0 < compiled == sum(entry.bytes for entry in cache_entries())
    assert f"compiled     {compiled / 1e6:,.0f} MB in the cache" in lines(bundle)
    assert facts(Bundle.open(STARTER_PATH))["compiled_bytes"] == 0


def test_a_unet_that_fails_when_it_is_first_run_is_loaded_anew(
    framework: Framework, tiny_bundle: Path
) -> None:
    framework.refuses_run = lambda units: units == "CPU_AND_GPU"
    pipeline = Pipeline(_with_known_attention(tiny_bundle))
    events: list[PipelineEvent] = []
    pipeline.load()
    assert pipeline.generate(REQUEST, events.append).runtime == "coreml cpu-only"
    assert events[0] == Encoding()
    anew = [event.network for event in events if isinstance(event, Loading) and event.note]
    assert anew == ["text_encoder", "unet", "vae_decoder"]
    pipeline.close()


def _with_known_attention(folder: Path) -> Bundle:
    bundle = Bundle.open(folder)
    return dataclasses.replace(bundle, manifest=replace(bundle.manifest, attention="ORIGINAL"))


def _made(bundle: Bundle) -> tuple[str, list[Loading]]:
    """Who ran the UNet of a picture, and what was told while its networks were loaded."""
    pipeline, events = Pipeline(bundle), list[PipelineEvent]()
    picture = pipeline.generate(REQUEST, events.append)
    pipeline.close()
    return picture.runtime, [event for event in events if isinstance(event, Loading)]
