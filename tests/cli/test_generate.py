"""``sdtui generate`` from end to end, with a tiny real model."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from sdtui.engine.client import EngineClient
from sdtui.engine.protocol import Job
from sdtui.history.png import read_origin
from sdtui.spawn import environment, python
from tests.cli.conftest import sdtui
from tests.engine.talk import LONG, snapshot

KEYS = {
    "path", "seed", "width", "height", "steps", "scheduler", "model", "prompt", "negative_prompt",
    "seconds", "peak_memory_bytes", "runtime",
}  # fmt: skip


@pytest.fixture
def short(cli_home: Path, tiny_bundle: Path) -> list[str]:
    """A generation that takes a moment."""
    assert cli_home.is_dir()
    return [
        "generate", "a red apple", "--model", str(tiny_bundle), "--steps", "3", "--seed", "7",
        "--precision", "fp32",
    ]  # fmt: skip


def pixels(path: str | Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def jobs() -> list[Job]:
    client = EngineClient.connect(start=False)
    try:
        return snapshot(client).jobs
    finally:
        client.close()


def test_json_twice_gives_the_same_pixels_and_a_warm_model(short: list[str], tmp_path: Path) -> None:
    first, second = (
        sdtui(*short, "--negative", "blurry", "--json", "--output", tmp_path / name).objects[0]
        for name in ("a.png", "b.png")
    )
    assert set(first) == KEYS
    assert set(first["seconds"]) == {"load", "text", "denoise", "decode", "total"}
    assert first["path"] == str(tmp_path / "a.png")
    assert (first["seed"], first["width"], first["height"], first["steps"]) == (7, 64, 64, 3)
    assert (first["prompt"], first["negative_prompt"], first["model"]) == ("a red apple", "blurry", "tiny")
    assert pixels(tmp_path / "a.png") == pixels(tmp_path / "b.png")
    assert second["seconds"]["load"] == 0
    other = sdtui(*short, "--seed", "8")
    assert other.code == 0
    assert pixels(other.out.strip()) != pixels(tmp_path / "a.png")


def test_in_process_gives_what_the_engine_gives(short: list[str], tmp_path: Path) -> None:
    by_engine = sdtui(*short).out.strip()
    assert sdtui("engine", "stop").code == 0
    ran = sdtui(*short, "--in-process", "--output", tmp_path / "here.png")
    assert ran.out.strip() == str(tmp_path / "here.png")
    assert pixels(tmp_path / "here.png") == pixels(by_engine)
    assert sdtui("engine", "status").out.startswith("no engine is running")


def test_several_pictures_go_into_a_folder(short: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pictures"
    ran = sdtui(*short, "--count", "2", "--output", folder, "--json", "--scheduler", "euler-a")
    assert [Path(picture["path"]).parent for picture in ran.objects] == [folder, folder]
    assert [picture["seed"] for picture in ran.objects] == [7, 8]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        Path(picture["path"]).name for picture in ran.objects
    )


def test_variations_are_recorded_with_their_usual_strengths(short: list[str]) -> None:
    made = sdtui(
        *short, "--variation-seed", "8", "--blend-prompt", "pear", "--refiner-start", "0.5", "--json"
    )
    request = read_origin(Path(made.objects[0]["path"])).request
    assert (request.variation_seed, request.variation_strength) == (8, 0.1)
    assert (request.blend_prompt, request.blend, request.refiner_start) == ("pear", 0.5, 0.5)


def test_a_lora_that_the_model_lacks_is_refused(short: list[str]) -> None:
    sdtui(*short, "--lora", "ink:0.5").refused(1, "LoRAs", "it has none", "sdtui convert")


def test_choices_are_drawn_and_recorded(short: list[str], cli_home: Path) -> None:
    (cli_home / "config" / "wildcards").mkdir(parents=True)
    (cli_home / "config" / "wildcards" / "fruit.txt").write_text("apple\napple\n")
    several = sdtui(
        short[0], "a {red|green} __fruit__", *short[2:], "--count", "2", "--seed", "0", "--clip-skip", "1",
        "--json",
    )  # fmt: skip
    assert [made["prompt"] for made in several.objects] == ["a green apple", "a red apple"]
    request = read_origin(Path(several.objects[1]["path"])).request
    assert (request.seed, request.template) == (1, "a {red|green} __fruit__")
    assert request.clip_skip == 1
    sdtui(short[0], "a __nothing__", *short[2:]).refused(2, "the wildcard __nothing__", "there is no")


def test_the_embedded_request_makes_the_picture_again(short: list[str], tmp_path: Path) -> None:
    path = Path(sdtui(*short).out.strip())
    request = read_origin(path).request
    again = sdtui(
        "generate", request.prompt, "--model", str(request.model), "--steps", str(request.steps),
        "--guidance", str(request.guidance_scale), "--seed", str(request.seed),
        "--precision", request.precision,
        "--scheduler", request.scheduler, "--rng", request.rng, "--size", f"{request.width}x{request.height}",
        "--output", tmp_path / "again.png",
    )  # fmt: skip
    assert again.code == 0
    assert pixels(tmp_path / "again.png") == pixels(path)


def test_the_history_knows_them(short: list[str]) -> None:
    path = sdtui(*short, "--negative", "zebra").out.strip()
    found = sdtui("history", "search", "zebra", "--json").objects
    assert [picture["path"] for picture in found] == [path]
    shown = sdtui("history", "show", str(found[0]["id"]), "--json").objects
    assert shown == found
    assert "a red apple" in sdtui("history", "list", "--limit", "1").out


def test_events_are_json_lines_on_stderr(short: list[str]) -> None:
    ran = sdtui(*short, "--events")
    events = [json.loads(line) for line in ran.err.splitlines()]
    assert events[0]["event"] == "queued"
    assert [event["event"] for event in events[-5:]] == ["step", "step", "step", "decoding", "finished"]
    step = events[-4]
    assert (step["index"], step["total"], step["picture"], step["pictures"]) == (2, 3, 1, 1)
    assert step["rate"] > 0
    assert step["memory"]["engine"] > 0
    assert events[-1]["path"] == ran.out.strip()


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_gets_a_progress_bar(
    short: list[str], monkeypatch: pytest.MonkeyPatch, colour: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        python("sdtui", *short, "--steps", "300"), env=environment(), stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while data := os.read(ours, 1 << 16):
            shown += data
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path(out.decode().strip()).is_file()
    assert re.search(rb"denoising .*\d+/300  \d+\.\d it/s  \d:\d\d left", shown)
    assert bool(re.search(rb"\x1b\[(\d+;)*[34]\d", shown)) == colour


def test_interrupting_cancels_the_job(short: list[str]) -> None:
    process = subprocess.Popen(
        python("sdtui", *short, "--steps", str(LONG), "--count", "9", "--events"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == "step":
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    while any(job.state == "running" for job in jobs()):
        pass
    assert [job.state for job in jobs()[-2:]] == ["cancelled", "cancelled"]


def test_a_dead_engine_is_one_line_and_the_next_call_works(short: list[str]) -> None:
    assert sdtui(*short).code == 0
    engine = sdtui("engine", "status", "--json").objects[0]["pid"]  # asking takes longer than a picture may
    process = subprocess.Popen(
        python("sdtui", *short, "--steps", str(LONG), "--events"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == "step":
            break
    os.kill(engine, signal.SIGKILL)
    assert process.wait(30) == 1
    last = process.stderr.read().splitlines()[-1]
    process.stderr.close()
    assert last.startswith("error: the engine stopped, ")
    assert sdtui(*short).code == 0
