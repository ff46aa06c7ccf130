"""Where memory does not hold a whole model, its networks take turns and the picture is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sdtui.api import generate
from sdtui.bundle import Bundle
from sdtui.diffusion.events import Decoding, Encoding, Loading, PipelineEvent, Step
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.residence import available_memory
from sdtui.engine.job import Maker
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network, NetworkError, TensorSpec
from sdtui.settings import Settings, save_settings


class Counted:
    """A network that is in ``present`` while it is in memory."""

    def __init__(self, network: Network, present: set[str], name: str) -> None:
        self._network, self._present, self._name = network, present, name
        self.inputs: Mapping[str, TensorSpec] = network.inputs
        self.outputs: Mapping[str, TensorSpec] = network.outputs
        self.runtime, self.weight_bytes = network.runtime, network.weight_bytes
        present.add(name)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._network.predict(inputs)

    def close(self) -> None:
        self._present.discard(self._name)
        self._network.close()


def test_networks_take_turns_where_memory_is_short(
    pipeline: Pipeline, request_: GenerationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pipeline.generate(request_)
    present: set[str] = set()

    def watch(path: Path, network: Network) -> Network:
        assert not present, "they are never in memory together"
        return Counted(network, present, path.name)

    monkeypatch.setattr("sdtui.diffusion.residence.available_memory", lambda: 0)
    poor = Pipeline(Bundle.open(pipeline.bundle.path), "cpu-only", "fp32", watch)
    for _ in range(2):
        events: list[PipelineEvent] = []
        picture = poor.generate(request_, events.append)
        assert picture.image.tobytes() == expected.image.tobytes()
        assert picture.runtime == "portable fp32"
        assert picture.seconds.load > 0
        assert [event for event in events if not isinstance(event, Step)] == [
            Loading("text_encoder", 1, 3),
            Encoding(),
            Loading("unet", 2, 3),
            Loading("vae_decoder", 3, 3),
            Decoding(),
        ]
        assert present == {"VAEDecoder.mlpackage"}
    poor.close()
    assert present == set()


def test_networks_take_turns_where_a_person_wants_it(
    pipeline: Pipeline,
    request_: GenerationRequest,
    home: Path,  # noqa: ARG001 - where the settings are
) -> None:
    """With room for all of them, and in every way to make pictures that heeds the settings."""
    present: set[str] = set()

    def watch(path: Path, network: Network) -> Network:
        assert not present, "they are never in memory together"
        return Counted(network, present, path.name)

    expected = pipeline.generate(request_)
    thrifty = Pipeline(pipeline.bundle, "cpu-only", "fp32", watch, low_memory=True)
    assert thrifty.generate(request_).image.tobytes() == expected.image.tobytes()
    thrifty.close()

    request = request_.replace(model=str(pipeline.bundle.path))
    maker = Maker()
    maker.make("1", request, lambda _: None, lambda: False)
    assert maker.make("2", request, lambda _: None, lambda: False).seconds["load"] == 0
    save_settings(Settings(low_memory=True))
    assert maker.make("3", request, lambda _: None, lambda: False).seconds["load"] > 0
    assert maker.make("4", request, lambda _: None, lambda: False).seconds["load"] > 0
    maker.close()
    fields = {"seed": 1, "steps": 1, "count": 2, "compute_units": "cpu-only", "precision": "fp32"}
    made = list(generate("a red apple", model=str(pipeline.bundle.path), **fields))
    assert [picture.seconds.load > 0 for picture in made] == [True, True]


def test_what_does_not_load_beside_others_is_loaded_alone(
    pipeline: Pipeline, request_: GenerationRequest
) -> None:
    """Nobody can tell beforehand what Core ML takes on a GPU; the estimate said that there was room."""
    expected = pipeline.generate(request_)
    present: set[str] = set()

    def watch(path: Path, network: Network) -> Network:
        if present:
            raise NetworkError(f"cannot load {path.name}", "error -4", "choose other compute units")
        return Counted(network, present, path.name)

    crowded = Pipeline(pipeline.bundle, "cpu-only", "fp32", watch)
    assert crowded.generate(request_).image.tobytes() == expected.image.tobytes()
    assert present == {"VAEDecoder.mlpackage"}
    crowded.close()


def test_what_does_not_load_alone_either_is_an_error(pipeline: Pipeline, request_: GenerationRequest) -> None:
    tried: list[str] = []

    def watch(path: Path, network: Network) -> Network:
        tried.append(path.name)
        if path.name == "Unet.mlpackage":
            raise NetworkError("cannot load Unet.mlpackage", "error -4", "choose other compute units")
        return network

    crowded = Pipeline(pipeline.bundle, "cpu-only", "fp32", watch)
    with pytest.raises(NetworkError, match="error -4"):
        crowded.generate(request_)
    assert tried == ["TextEncoder.mlpackage", "Unet.mlpackage", "Unet.mlpackage"]
    assert not crowded.warm


def test_what_is_there_stays_when_memory_becomes_short(
    pipeline: Pipeline, request_: GenerationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.load()
    monkeypatch.setattr("sdtui.diffusion.residence.available_memory", lambda: 0)
    assert pipeline.generate(request_).seconds.load == 0


def test_available_memory_is_counted_in_bytes() -> None:
    assert available_memory() > 1 << 26
