"""A checkpoint on disk becomes a bundle, whatever was asked of it and whatever happens on the way."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from diffusers import ControlNetModel

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import verify
from sdtui.conversion import (
    ConversionEvent,
    ConversionReport,
    ConversionRequest,
    Forecast,
    NetworkReport,
    Part,
    Stage,
)
from sdtui.convert.conversion import ConversionStoppedError, convert
from sdtui.convert.running import run_step
from sdtui.convert.step import run_here
from sdtui.convert.workspace import PREFIX, Workspace
from sdtui.diffusion.pipeline import Pipeline
from sdtui.errors import SdtuiError
from sdtui.request import GenerationRequest
from sdtui.runtime.portable.network import PortableNetwork
from sdtui.spawn import environment, python
from tests.convert.folder import save_folder
from tests.tiny import CHANNELS, PIXELS, TinyTorch

SMALL: tuple[Part, ...] = ("text-encoder", "vae-decoder")
"""The networks that convert quickest."""


@pytest.fixture(scope="module")
def checkpoint(tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny_torch, tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="module")
def controlnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controlnets") / "sd-controlnet-canny"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network: Any = ControlNetModel(
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            block_out_channels=(16, 32),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=8,
            conditioning_embedding_out_channels=(4, 8, 8, 8),
        )
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def everything(
    checkpoint: Path, controlnet: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, list[ConversionEvent]]:
    """A conversion with most of what can be asked for, and what it told."""
    events: list[ConversionEvent] = []
    request = ConversionRequest(
        source=str(checkpoint),
        output=str(tmp_path_factory.mktemp("bundles") / "everything"),
        sizes=((PIXELS, PIXELS), (96, PIXELS)),
        unet_support_controlnet=True,
        controlnets=(str(controlnet),),
        networks=("text-encoder", "unet", "vae-decoder"),
        nbits=6,
    )
    events.append(convert(request, events.append, run=run_here))
    return Bundle.open(Path(request.output)), events


def test_the_bundle_holds_what_was_asked_for(everything: tuple[Bundle, list[ConversionEvent]]) -> None:
    bundle, _ = everything
    verify(bundle)
    manifest = bundle.manifest
    assert set(manifest.networks) == {"text_encoder", "unet", "control_unet", "vae_decoder"}
    assert set(manifest.controlnets) == {"sd-controlnet-canny"}
    assert manifest.controlnets["sd-controlnet-canny"].file == "controlnet/SdControlnetCanny.mlpackage"
    assert (manifest.attention, manifest.target, manifest.family) == ("SPLIT_EINSUM", "macOS13", "sd")
    assert {role: entry.nbits for role, entry in manifest.networks.items()} == {
        "text_encoder": 6,
        "unet": 6,
        "control_unet": 6,
        "vae_decoder": None,
    }
    assert manifest.preview is not None
    assert [len(row) for row in manifest.preview.matrix] == [CHANNELS] * 3
    assert len(manifest.preview.bias) == 3


def test_sizes_and_roles_share_their_weights_on_disk(
    everything: tuple[Bundle, list[ConversionEvent]],
) -> None:
    bundle, _ = everything
    unet, control = (bundle.manifest.networks[role] for role in ("unet", "control_unet"))
    files = [unet.file, unet.sizes["96x64"], control.file, control.sizes["96x64"]]
    weights = [bundle.path / file / "Data/com.apple.CoreML/weights/weight.bin" for file in files]
    assert len({file.stat().st_ino for file in weights}) == 1
    decoder = bundle.manifest.networks["vae_decoder"]
    network = PortableNetwork(bundle.path / decoder.sizes["96x64"], "cpu-only", "fp32")
    assert network.outputs["image"].shape == (1, 3, PIXELS, 96)


def test_it_makes_pictures(everything: tuple[Bundle, list[ConversionEvent]]) -> None:
    bundle, _ = everything
    pipeline = Pipeline(bundle, "cpu-only", "fp32")
    picture = pipeline.generate(
        GenerationRequest(prompt="a red apple", steps=2, seed=1, compute_units="cpu-only", precision="fp32")
    )
    assert picture.image.size == (PIXELS, PIXELS)


def test_the_report_tells_each_network(everything: tuple[Bundle, list[ConversionEvent]]) -> None:
    bundle, events = everything
    forecast = next(event for event in events if isinstance(event, Forecast))
    report = events[-1]
    assert isinstance(report, ConversionReport)
    assert report.path == str(bundle.path)
    assert [each.network for each in report.networks] == [
        "text_encoder",
        "unet",
        "control_unet",
        "controlnet/sd-controlnet-canny",
        "vae_decoder",
    ]
    assert all(each.faithful and each.seconds and each.peak_memory for each in report.networks)
    assert report.networks == [event for event in events if isinstance(event, NetworkReport)]
    assert forecast.disk > 0
    fractions = [event.fraction for event in events if isinstance(event, Stage) and event.network]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.5


def test_halves_and_functions_in_one_package(checkpoint: Path, tmp_path: Path) -> None:
    request = ConversionRequest(
        source=str(checkpoint),
        output=str(tmp_path / "halves"),
        networks=("unet",),
        target="macOS15",
        attention="ORIGINAL",
        sizes=((PIXELS, PIXELS), (PIXELS, 96)),
        multifunction=True,
        chunk_unet=True,
    )
    report = convert(request, lambda _: None, run=run_here)
    bundle = Bundle.open(tmp_path / "halves")
    entry = bundle.manifest.networks["unet"]
    assert (entry.file, entry.second_half) == ("UnetChunk1.mlpackage", "UnetChunk2.mlpackage")
    assert entry.functions == {"64x96": "size_64x96"}
    assert report.networks[0].psnr is not None
    assert report.networks[0].psnr >= 70
    wide = PortableNetwork(bundle.path / entry.file, "cpu-only", "fp32", "size_64x96")
    assert wide.inputs["sample"].shape == (2, 4, 12, 8)


def test_a_network_that_loses_too_much_is_told(checkpoint: Path, tmp_path: Path) -> None:
    request = ConversionRequest(
        source=str(checkpoint),
        output=str(tmp_path / "poor"),
        networks=("text-encoder",),
        minimum_psnr=200.0,
    )
    report = convert(request, lambda _: None, run=run_here)
    assert [each.faithful for each in report.networks] == [False]


def test_what_is_there_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ConversionStoppedError, match="there already"):
        convert(ConversionRequest(source=str(checkpoint), output=str(tmp_path / "there")), lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"networks": ("safety-checker",)}, "no safety checker"),
        ({"source": "nowhere.safetensors"}, "nowhere"),
    ],
)
def test_a_refusal_leaves_nothing(wanted: dict[str, Any], why: str, checkpoint: Path, tmp_path: Path) -> None:
    request = ConversionRequest(**{"source": str(checkpoint), "output": str(tmp_path / "b"), **wanted})
    with pytest.raises(SdtuiError, match=why):
        convert(request, lambda _: None, run=run_here)
    assert not list(tmp_path.iterdir())


def test_two_at_once_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    request = ConversionRequest(source=str(checkpoint), output=str(tmp_path / "b"), networks=SMALL)

    def run(*_: Any) -> None:
        with pytest.raises(ConversionStoppedError, match="another conversion"):
            convert(request, lambda _: None, run=run_here)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(request, lambda _: None, run=run)
    assert not list(tmp_path.iterdir())


def test_cancelling_keeps_what_is_done(checkpoint: Path, tmp_path: Path) -> None:
    """The second network is cancelled in its process; the first is not made again."""
    request = ConversionRequest(source=str(checkpoint), output=str(tmp_path / "b"), networks=SMALL)
    events: list[ConversionEvent] = []

    def cancelled() -> bool:
        return any(isinstance(event, NetworkReport) for event in events)

    def last_one_apart(workspace: Path, key: str | None, *rest: Any) -> None:
        (run_step if key == "vae_decoder" else run_here)(workspace, key, *rest)

    with pytest.raises(KeyboardInterrupt):
        convert(request, events.append, cancelled, last_one_apart)
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}b"]
    made: list[str | None] = []

    def run(workspace: Path, key: str | None, *rest: Any) -> None:
        made.append(key)
        run_here(workspace, key, *rest)

    convert(request, lambda _: None, run=run)
    assert made == [None, "vae_decoder"]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_another_request_begins_anew(checkpoint: Path, tmp_path: Path) -> None:
    request = ConversionRequest(
        source=str(checkpoint), output=str(tmp_path / "b"), networks=("text-encoder",)
    )

    def stop_before_the_end(workspace: Path, key: str | None, *rest: Any) -> None:
        run_here(workspace, key, *rest)
        if key is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(request, lambda _: None, run=stop_before_the_end)
    other = msgspec.structs.replace(request, nbits=8)
    report = convert(other, lambda _: None, run=run_here)
    assert [each.nbits for each in report.networks] == [8]


@pytest.mark.parametrize(
    "kills", [pytest.param(1, id="1"), pytest.param(10, id="10", marks=pytest.mark.slow)]
)
def test_killed_at_random_moments_it_ends_the_same(kills: int, checkpoint: Path, tmp_path: Path) -> None:
    undisturbed = ConversionRequest(source=str(checkpoint), output=str(tmp_path / "one/tiny"), networks=SMALL)
    started = time.monotonic()
    last = list(events_of(undisturbed))[-1]
    whole = time.monotonic() - started
    assert isinstance(last, ConversionReport), last
    moments = random.Random(7)
    disturbed = msgspec.structs.replace(undisturbed, output=str(tmp_path / "two/tiny"))
    for _ in range(kills):
        killed(disturbed, moments.uniform(0.05, 1.0) * whole)
    if not (tmp_path / "two/tiny").exists():
        assert isinstance(list(events_of(disturbed))[-1], ConversionReport)
    Workspace.sweep(tmp_path / "two")  # as the next conversion does
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["tiny"]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_what_a_kill_left_behind_a_whole_bundle_goes_with_the_next_conversion(
    checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    left = Workspace.beside(tmp_path / "tiny")
    (left.root / "networks").mkdir(parents=True)
    busy = Workspace.beside(tmp_path / "busy")
    (tmp_path / "busy").mkdir()
    busy.root.mkdir()
    unfinished = Workspace.beside(tmp_path / "other")
    unfinished.root.mkdir()
    request = ConversionRequest(source=str(checkpoint), output=str(tmp_path / "tiny"))
    with busy.held(), pytest.raises(ConversionStoppedError, match="there already"):
        convert(request, lambda _: None, run=run_here)
    assert not left.root.exists()
    assert busy.root.exists()
    assert unfinished.root.exists()


def test_a_step_waits_for_one_that_outlives_its_conversion(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    entered = threading.Event()

    def step() -> None:
        with workspace.alone():
            entered.set()

    with workspace.alone():
        other = threading.Thread(target=step)
        other.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    other.join()


def events_of(request: ConversionRequest) -> Iterator[ConversionEvent]:
    """Convert in a process as other programs do."""
    with subprocess.Popen(
        python("sdtui.convert.process"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            yield msgspec.json.decode(line, type=ConversionEvent)
        process.stdin.close()


def killed(request: ConversionRequest, after: float) -> None:
    """Convert, and kill -9 the process and whatever it started."""
    with subprocess.Popen(
        python("sdtui.convert.process"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        process.stdin.flush()
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
