"""Previews by a tiny decoder: what they show, how often they come, and that nothing depends on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdtui.bundle import Bundle
from sdtui.bundle.adoption import write_manifest
from sdtui.bundle.bundle import network_sha256, verify
from sdtui.bundle.manifest import NetworkEntry
from sdtui.convert.accuracy import psnr
from sdtui.convert.network import convert_network
from sdtui.convert.networks.preview import preview_decoder
from sdtui.diffusion import previewing
from sdtui.diffusion.events import Loading, PipelineEvent, Preview, Step
from sdtui.diffusion.loop import Moment
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.previewing import SHARE, SIDE, Sparing, decoded
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network, NetworkError, load_network
from tests.convert.architectures import tiny_autoencoder
from tests.tiny import LATENT, PIXELS

LOAD = Loading("preview_decoder", 4, 4)
LATENTS = np.zeros((1, 4, 2, 2), np.float32)
DECODED, COLOURED = Preview(1, 1, b"abc"), Preview(1, 1, b"def")


@pytest.fixture(scope="module")
def tiny() -> AutoencoderTiny:
    """TAESD's architecture with random weights, whose pictures are not all of one colour."""
    tiny = tiny_autoencoder().eval()
    with torch.no_grad():
        last: Any = tiny.decoder.layers[-1]
        last.weight.mul_(8)
    return tiny


@pytest.fixture(scope="module")
def previewed(
    tiny: AutoencoderTiny, tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny model, and a preview decoder."""
    bundle = shutil.copytree(tiny_bundle_fp32, tmp_path_factory.mktemp("models") / "previewed")
    package = bundle / "PreviewDecoder.mlpackage"
    convert_network(preview_decoder(tiny, LATENT, LATENT), package, precision="fp32")
    manifest = Bundle.open(bundle).manifest
    entry = NetworkEntry(file=package.name, sha256=network_sha256(package))
    networks = {**manifest.networks, "preview_decoder": entry}
    write_manifest(bundle, msgspec.structs.replace(manifest, networks=networks))
    verify(Bundle.open(bundle))
    return bundle


def made(
    bundle: Path, request: GenerationRequest, **options: Any
) -> tuple[Image.Image, list[Preview | None], list[PipelineEvent]]:
    """The picture, the preview of each step, and all that was told."""
    pipeline = Pipeline(Bundle.open(bundle), "cpu-only", "fp32", **options)
    events: list[PipelineEvent] = []
    try:
        image = pipeline.generate(request, events.append).image
    finally:
        pipeline.close()
    return image, [event.preview for event in events if isinstance(event, Step)], events


def test_previews_are_those_of_diffusers(
    tiny: AutoencoderTiny, previewed: Path, pipeline: Pipeline, request_: GenerationRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shown: list[Array] = []

    def remembering(latents: Array, decoder: Network) -> Preview:
        shown.append(latents)
        return decoded(latents, decoder)

    monkeypatch.setattr("sdtui.diffusion.pipeline.decoded", remembering)
    monkeypatch.setattr(previewing, "SHARE", 1e9)
    image, previews, events = made(previewed, request_)
    assert image.tobytes() == pipeline.generate(request_).image.tobytes()
    assert LOAD in events
    *most, last = previews
    assert len(shown) == len(most) == 3
    assert last is None, "the picture itself follows"
    for latents, preview in zip(shown, most, strict=True):
        assert preview is not None
        assert (preview.width, preview.height) == (PIXELS, PIXELS)
        pixels = np.frombuffer(preview.rgb, np.uint8).reshape(PIXELS, PIXELS, 3)
        with torch.no_grad():
            levels = tiny.decode(torch.from_numpy(latents).float()).sample[0].clamp(-1, 1)
        expected = (levels.permute(1, 2, 0).numpy() + 1) * 127.5
        assert expected.std() > 10
        assert psnr(expected, pixels.astype(np.float32)) >= 48, "but for the rounding to whole numbers"


def test_a_large_preview_is_reduced(tiny: AutoencoderTiny, tmp_path: Path) -> None:
    convert_network(preview_decoder(tiny, 20, 32), tmp_path / "network.mlpackage", precision="fp32")
    network = load_network(tmp_path / "network.mlpackage", "cpu-only", "fp32")
    latents = np.random.default_rng(0).normal(size=(1, 4, 20, 32)).astype(np.float32)
    preview = decoded(latents, network)
    network.close()
    assert (preview.width, preview.height) == (SIDE, 80)
    with torch.no_grad():
        levels = tiny.decode(torch.from_numpy(latents)).sample.clamp(-1, 1)
    expected = (torch.nn.functional.avg_pool2d(levels, 2)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    pixels = np.frombuffer(preview.rgb, np.uint8).reshape(80, SIDE, 3).astype(np.float32)
    assert psnr(expected, pixels) >= 45


@pytest.mark.parametrize("failure", ["load", "memory", "thrift", "predict", "overflow"])
def test_a_preview_decoder_that_fails_leaves_the_picture_alone(
    failure: str, previewed: Path, pipeline: Pipeline, request_: GenerationRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tried: list[str] = []

    def watch(path: Path, network: Network) -> Network:
        tried.append(path.name)
        if failure == "load" and path.name == "PreviewDecoder.mlpackage":
            network.close()
            raise NetworkError(f"cannot load {path.name}", "error -4", "choose other compute units")
        return network

    def failing(_latents: Array, _decoder: Network) -> Preview:
        raise NetworkError("cannot run it", "error -1", "choose other compute units")

    def overflowing(latents: Array, _decoder: Network) -> Preview:
        overflowed: Any = SimpleNamespace(predict=lambda _: {"image": np.full((1, 3, 8, 8), np.inf)})
        return decoded(latents, overflowed)

    def tight(part: Any) -> bool:
        return bool(part.name != "preview_decoder")

    if failure == "memory":
        monkeypatch.setattr("sdtui.diffusion.residence.Residence._room", lambda _self, part: tight(part))
    if failure in ("predict", "overflow"):
        decode = failing if failure == "predict" else overflowing
        monkeypatch.setattr("sdtui.diffusion.pipeline.decoded", decode)
    expected = [event.preview for event in told(pipeline, request_) if isinstance(event, Step)]
    image, previews, _ = made(previewed, request_, watch=watch, low_memory=failure == "thrift")
    assert image.tobytes() == pipeline.generate(request_).image.tobytes()
    assert previews == expected, "those of the matrix instead"
    assert None not in previews
    wanted = failure not in ("memory", "thrift")
    assert tried.count("PreviewDecoder.mlpackage") == wanted
    assert tried.count("Unet.mlpackage") == 1, "nobody had to leave for it"


def told(pipeline: Pipeline, request: GenerationRequest) -> list[PipelineEvent]:
    events: list[PipelineEvent] = []
    pipeline.generate(request, events.append)
    return events


class Walk:
    """Steps that take ``step`` seconds each, on a clock of its own."""

    def __init__(self, cost: Callable[[int], float]) -> None:
        self.now = 0.0
        self.spent: list[float] = []
        self._cost = cost

    def decode(self, _latents: Array) -> Preview:
        self.spent.append(self._cost(len(self.spent)))
        self.now += self.spent[-1]
        return DECODED

    def previews(self, steps: list[float]) -> list[Preview | None]:
        sparing = Sparing(self.decode, lambda _latents, _moment: COLOURED, lambda: self.now)
        found = []
        for index, seconds in enumerate(steps):
            self.now += seconds
            found.append(sparing(LATENTS, Moment(index, len(steps), 0.0)))
        return found


def test_previews_come_as_often_as_a_tenth_of_the_time_pays_for() -> None:
    cheap = Walk(lambda _: 0.05).previews([1.0] * 10)
    assert cheap == [DECODED] * 9 + [None]
    dear = Walk(lambda _: 0.33).previews([1.0] * 12)
    assert [index for index, preview in enumerate(dear) if preview] == [0, 6, 9]
    never_again = Walk(lambda _: 50.0).previews([1.0] * 20)
    assert [index for index, preview in enumerate(never_again) if preview] == [0]


@given(
    steps=st.lists(st.floats(0.01, 10), min_size=1, max_size=40),
    costs=st.lists(st.floats(0.001, 5), min_size=40, max_size=40),
)
def test_previews_never_take_more_than_their_share_and_one(steps: list[float], costs: list[float]) -> None:
    walk = Walk(costs.__getitem__)
    assert walk.previews(steps)[-1] is None
    assert sum(walk.spent) <= SHARE * sum(steps) + 2 * max(walk.spent, default=0) + 1e-9
    steady = Walk(lambda _: costs[0])
    steady.previews(steps)
    assert sum(steady.spent) <= SHARE * sum(steps) + costs[0] + 1e-9
