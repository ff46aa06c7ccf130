"""``sdtui compress``: goals, their refusals, and what is said of the result."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdtui.bundle import Bundle, verify
from sdtui.cli import main
from sdtui.cli.compress_goal import goal_of, parse_bytes
from sdtui.cli.errors import CommandLineError
from sdtui.compress.analysis import WeightNoise, load
from sdtui.compress.request import AverageBits, LeastPsnr, Published, TotalBytes, Uniform
from sdtui.spawn import environment


def test_a_model_is_compressed_and_said_to_be(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "small"
    words = ["compress", str(tiny_bundle), "--output", str(output), "--bits", "4", "--samples", "1", "--json"]
    assert main([*words, "--events"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["path"] == str(output)
    networks = {each["network"]: each for each in report["networks"]}
    assert networks["unet"]["bytes"] < 0.6 * networks["unet"]["bytes_before"]
    bits = {name: each["nbits"] for name, each in networks.items()}
    assert bits == {"unet": 4, "text_encoder": 16}  # whose weights are all too small
    stages = [json.loads(line) for line in printed.err.splitlines()]
    assert {stage["stage"] for stage in stages} == {"recording inputs", "writing", "comparing"}

    assert main(words) == 1
    assert "is not overwritten, it exists" in capsys.readouterr().err


def test_the_page_has_a_line_for_each_network(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compress", str(tiny_bundle), "--output", str(tmp_path / "small"), "--linear", "--samples", "1"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["network", "text", "unet"]
    assert lines[2].split()[-1] == "linear"
    assert lines[3].endswith(str(tmp_path / "small"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the goal is not clear, none was given"),
        (["--bits", "4", "--psnr", "50"], "there are --bits and --psnr"),
        (["--linear", "--mixed", "--bits", "8"], "there are --bits and --mixed and --linear"),
        (["--bits", "5"], "there are no palettes of 5"),
        (["--linear", "--bits", "6"], "there are no integers of 6"),
        (["--activations", "--bits", "4"], "activations go with 8-bit weights"),
        (["--size", "small"], "'small' is no number of bytes"),
        (["--bits", "6", "--curve", "x.png"], "there is no curve"),
        (["--linear", "--group-size", "8"], "only palettes are shared"),
        (["--recipe", "file.json"], "'file.json' names no recipe"),
        (["--bits", "0.5"], "0.5 is outside 1 to 16"),
        (["--bits", "4.5", "--samples", "0"], "samples is not valid"),
    ],
)
def test_unclear_goals_are_refused(
    words: list[str], said: str, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compress", str(tiny_bundle), "--output", str(tmp_path / "small"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "small").exists()


def test_goals() -> None:
    assert goal_of(6) == Uniform("palette-6")
    assert goal_of(4, group_size=16) == Uniform("palette-4-g16")
    assert goal_of(6, mixed=True) == AverageBits(6)
    assert goal_of(4.5) == AverageBits(4.5)
    assert goal_of(psnr=50) == LeastPsnr(50)
    assert goal_of(size="1.5 GB") == TotalBytes(1_500_000_000)
    assert goal_of(linear=True) == Uniform("linear-8")
    assert goal_of(4, linear=True) == Uniform("linear-4-b32")
    assert goal_of(recipe="/a:b.json:recipe_4.04_bit") == Published("/a:b.json", "recipe_4.04_bit")


@pytest.mark.parametrize(("text", "size"), [("800", 800), ("2k", 2000), ("3.5MB", 3_500_000), ("1gb", 10**9)])
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-3", "1TB", "1.2.3"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(CommandLineError):
        parse_bytes(text)


def test_what_was_measured_survives(tiny_bundle: Path, tmp_path: Path) -> None:
    """A kill, then an interrupt, then the same command to its end."""
    file, output = tmp_path / "analysis.json", tmp_path / "small"
    words = ["compress", str(tiny_bundle), "-o", str(output), "--bits", "4.5", "--samples", "1"]
    words += ["--analysis", str(file)]
    kept: dict[str, WeightNoise] = {}
    for ending, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        running = subprocess.Popen(
            [sys.executable, "-m", "sdtui", *words],
            env={**environment(), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        while (not file.exists() or len(load(file).weights) == len(kept)) and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(ending)
        _, said = running.communicate(timeout=60)
        assert running.returncode == code
        assert not output.exists()
        found = load(file).weights
        assert {name: found[name] for name in kept} == kept
        assert len(found) > len(kept)
        kept = found
    assert "the same command goes on from here" in said

    assert main(words) == 0
    finished = load(file).weights
    assert {name: finished[name] for name in kept} == kept
    verify(Bundle.open(output))
