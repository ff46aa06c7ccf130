"""``sdtui convert``: what is asked for, what is seen, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from sdtui.cli import main
from sdtui.conversion import ConversionRequest, Fused
from sdtui.engine import converter
from sdtui.settings import places
from sdtui.spawn import environment
from tests.cli.conftest import Ran, sdtui
from tests.on_terminal import ROOT
from tests.tui.real_terminal import RealTerminal

STAND_IN = """
import sys
import sdtui.engine.converter
sdtui.engine.converter.MODULE = "tests.stand_in_converter"
from sdtui.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def with_stand_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and a converter that converts nothing."""
    monkeypatch.setattr(converter, "MODULE", "tests.stand_in_converter")
    monkeypatch.setenv("PYTHONPATH", ROOT)
    return home


def command(*arguments: str | Path) -> list[str]:
    """The command line of ``sdtui convert`` with the stand-in."""
    return [sys.executable, "-c", STAND_IN, "convert", *map(str, arguments)]


def convert(*arguments: str | Path) -> Ran:
    """Run ``sdtui convert`` with the stand-in to its end, as a process."""
    ran = subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def understood(output: Path) -> ConversionRequest:
    """What the converter was told."""
    told = Path(f"{output}.request.json").read_bytes()
    return msgspec.json.decode(told, type=ConversionRequest)


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- what is asked for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("good", {}),
        ("good --attention-implementation ORIGINAL", {"attention": "ORIGINAL"}),
        ("good --quantize-nbits 6 --chunk-unet", {"nbits": 6, "chunk_unet": True}),
        ("good --latent-h 96 --latent-w 64", {"sizes": ((512, 768),)}),
        ("good --size 512x768 --size 768×512", {"sizes": ((512, 768), (768, 512))}),
        ("good --min-deployment-target iOS16", {}),
        ("good --min-deployment-target iOS17", {"target": "macOS14"}),
        ("good --min-deployment-target iOS18 --multifunction", {"target": "macOS15", "multifunction": True}),
        ("good --min-deployment-target macOS15 --group-size 16", {"target": "macOS15", "group_size": 16}),
        ("good --networks unet,vae_decoder", {"networks": ("unet", "vae-decoder")}),
        ("good --precision fp32 --minimum-psnr 55", {"precision": "fp32", "minimum_psnr": 55.0}),
        ("good --linear --embedding tok --embedding word", {"linear": True, "embeddings": ("tok", "word")}),
        ("good --lora anime --lora ink:0.7", {"loras": (Fused("anime"), Fused("ink", 0.7))}),
        ("good --text-projection projection", {"text_projection": "projection"}),
        ("good --include-t5",
         {"networks": ("text-encoder", "text-encoder-t5", "unet", "vae-decoder", "vae-encoder")}),
        ("good --refiner-version an/refiner", {"refiner": "an/refiner"}),
        ("good --preview-decoder madebyollin/taesd", {"preview_decoder": "madebyollin/taesd"}),
        ("good --convert-controlnet a/b c/d --unet-support-controlnet --convert-controlnet e/f",
         {"controlnets": ("a/b", "c/d", "e/f"), "unet_support_controlnet": True}),
        # as they are copied from Apple's readme
        ("--convert-unet --convert-text-encoder --convert-vae-decoder --convert-safety-checker"
         " --model-version good --bundle-resources-for-swift-cli --check-output-correctness",
         {"networks": ("text-encoder", "unet", "vae-decoder", "safety-checker"), "swift_resources": True}),
        ("--convert-unet --model-version good --refiner-version an/refiner --xl-version",
         {"networks": ("unet", "refiner"), "refiner": "an/refiner"}),
        ("--convert-vae-decoder --convert-vae-encoder --convert-unet --unet-support-controlnet"
         " --convert-text-encoder --xl-version --custom-vae-version madebyollin/sdxl-vae-fp16-fix"
         " --quantize-nbits 8 --compute-unit CPU_AND_NE --model-version good",
         {"networks": ("text-encoder", "unet", "vae-decoder", "vae-encoder"), "nbits": 8,
          "vae": "madebyollin/sdxl-vae-fp16-fix", "unet_support_controlnet": True}),
        ("--model-version good --convert-vae-decoder --convert-mmdit --convert-text-encoder --include-t5"
         " --sd3-version --latent-h 64 --latent-w 64",
         {"networks": ("text-encoder", "text-encoder-t5", "unet", "vae-decoder"), "sizes": ((512, 512),)}),
        ("--convert-controlnet lllyasviel/sd-controlnet-mlsd lllyasviel/sd-controlnet-depth"
         " --model-version good --unet-batch-one --text-token-sequence-length 77"
         " --text-encoder-hidden-size 768",
         {"controlnets": ("lllyasviel/sd-controlnet-mlsd", "lllyasviel/sd-controlnet-depth"),
          "unet_batch_one": True, "token_length": 77, "text_hidden_size": 768}),
    ],
)  # fmt: skip
def test_a_command_line_becomes_a_request(words: str, fields: dict[str, Any], tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    assert main(["convert", *words.split(), "-o", str(output)]) == 0
    assert understood(output) == ConversionRequest(source="good", output=str(output), **fields)


def test_files_are_told_by_their_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good", "style.safetensors", "word.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    main(
        ["convert", "good", "-o", "out", "--lora", "style.safetensors:0.5", "--embedding", "word.safetensors"]
    )
    request = understood(tmp_path / "out")
    assert request.source == str(tmp_path / "good")
    assert request.loras == (Fused(str(tmp_path / "style.safetensors"), 0.5),)
    assert request.embeddings == (str(tmp_path / "word.safetensors"),)


def test_without_an_output_the_bundle_goes_to_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "good"]) == 0
    assert str(places().models / "good") in capsys.readouterr().out
    assert main(["models", "info", "good"]) == 0


def test_what_changes_nothing_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["convert", "good", "-o", str(tmp_path / "out"), "--xl-version", "--compute-unit", "ALL"]
    assert main(words) == 0
    assert "note: --xl-version, --compute-unit changes nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", ["no source", "SOURCE"]),
        ("good --model-version better", ["good", "better"]),
        ("good --quantize-nbits 5", ["5", "6"]),
        ("good --quantize-nbits many", ["--quantize-nbits", "integer"]),
        ("good --quantize-nbits 3", ["macOS13", "--min-deployment-target macOS15"]),
        ("good --group-size 16", ["macOS15"]),
        ("good --multifunction", ["macOS15"]),
        ("good --size 500x512", ["500x512", "multiples of 8"]),
        ("good --chunk-unet --size 64x64 --size 64x128", ["halves", "--multifunction"]),
        ("good --size large", ["large", "512x768"]),
        ("good --latent-h 64", ["--latent-w", "both"]),
        ("good --networks unet,brain", ["brain", "vae-decoder"]),
        ("good --attention-implementation BEST", ["BEST", "SPLIT_EINSUM_V2"]),
        ("good --min-deployment-target macOS12", ["macOS12", "macOS13"]),
        ("good --tidy", ["--tidy", "sdtui convert --help"]),
        ("good better", ["better"]),
    ],
)
def test_a_wrong_command_line_ends_with_2(
    words: str, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["convert", *words.split()])
    captured = capsys.readouterr()
    Ran(code, captured.out, captured.err).refused(2, *said)


@pytest.mark.parametrize(
    "words", ["./none", "/no/such/file", "none.safetensors", "good --lora none.safetensors"]
)
def test_a_file_that_is_not_there_ends_with_1(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["convert", *words.split()])
    captured = capsys.readouterr()
    Ran(code, captured.out, captured.err).refused(1, "not there")


def test_help_has_every_name_in_full() -> None:
    helped = sdtui("convert", "--help").out
    for name in ("--attention-implementation", "--bundle-resources-for-swift-cli", "--convert-controlnet"):
        assert name in helped
    assert "xl-version" not in helped


# ---- what is seen ----------------------------------------------------------------------------


def test_the_report_is_a_page_and_the_way_there_is_told_on_stderr(tmp_path: Path) -> None:
    ran = convert("talkative", "--output", tmp_path / "out", "--quantize-nbits", "6")
    assert ran.code == 0, ran
    assert [line.split("  ")[0] for line in ran.out.splitlines()[1:3]] == ["text encoder", "unet"]
    assert [line.split()[-8:-5] for line in ran.out.splitlines()[1:3]] == [["1.7", "GB", "6"]] * 2
    assert "72.5" in ran.out
    assert str(tmp_path / "out") in ran.out
    assert "in all" in ran.err, "the forecast comes first"
    assert "unet: tracing" in ran.err
    assert "done  unet" in ran.err
    assert "hello" not in ran.out + ran.err


def test_the_report_as_json_with_events_as_json(tmp_path: Path) -> None:
    ran = convert("good", "--output", tmp_path / "out", "--json", "--events")
    (report,) = ran.objects
    assert report["path"] == str(tmp_path / "out")
    assert [(each["network"], each["faithful"]) for each in report["networks"]] == [
        ("text_encoder", True),
        ("unet", True),
    ]
    events = [json.loads(line)["event"] for line in ran.err.splitlines()]
    assert events == ["forecast", "stage", "stage", "network", "network", "report"]


def test_a_forecast_alone_converts_nothing(tmp_path: Path) -> None:
    ran = convert("huge", "--output", tmp_path / "out", "--forecast")
    assert (ran.code, ran.err) == (0, "")
    assert "in all" in ran.out
    assert "! memory: 3.1 GB of 1.0 GB" in ran.out
    (forecast,) = convert("good", "--output", tmp_path / "out", "--forecast", "--json").objects
    assert forecast["memory"] == 3_100_000_000
    assert not (tmp_path / "out").exists()


def test_on_a_terminal_a_bar_moves_and_an_interrupt_costs_nothing(tmp_path: Path) -> None:
    with RealTerminal(command("slow", "--output", tmp_path / "out"), 100, 30, environment()) as terminal:
        terminal.until(lambda screen: "unet: tracing" in screen and "left" in screen and "━" in screen)
        assert "in all" in terminal.text
        child = psutil.Process(terminal.process.pid).children()
        os.kill(terminal.process.pid, signal.SIGINT)
        assert terminal.ended() == 130
        assert "the same command goes on from here" in terminal.text
        assert not any(process.is_running() for process in child)
    assert int((tmp_path / "out.steps").read_text()) > 0


# ---- how it ends -----------------------------------------------------------------------------


def test_a_network_below_its_threshold_ends_with_1_and_the_report(tmp_path: Path) -> None:
    ran = convert("unfaithful", "--output", tmp_path / "out", "--json")
    assert ran.code == 1
    assert [each["faithful"] for each in ran.objects[0]["networks"]] == [True, False]
    assert ran.err.splitlines()[-1].startswith("error: the bundle is not faithful")
    assert "unet 41.0 of 60 dB" in ran.err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("refused", ["it is a pickle", "use safetensors"]),
        ("killed", ["killed", "memory", "goes on from there"]),
    ],
)
def test_a_conversion_that_fails_is_one_line(source: str, words: list[str], tmp_path: Path) -> None:
    ran = convert(source, "--output", tmp_path / "out", "--events")
    error = ran.err.splitlines()[-1]
    Ran(ran.code, ran.out, error + "\n").refused(1, *words)


def test_a_disk_that_is_too_small_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    ran = convert("huge", "--output", tmp_path / "out")
    Ran(ran.code, ran.out, ran.err.splitlines()[-1] + "\n").refused(1, "disk", "--yes")
    assert not (tmp_path / "out").exists()
    assert convert("huge", "--output", tmp_path / "out", "--yes").code == 0


@pytest.mark.parametrize("source", ["slow", "deaf"])
def test_the_converter_dies_with_the_command(source: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(source, "--output", tmp_path / "out"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually((tmp_path / "out.steps").exists)
    (child,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT if source == "deaf" else signal.SIGKILL)
    process.wait(30)
    eventually(lambda: not child.is_running())
