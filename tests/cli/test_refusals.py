"""What makes no sense, or cannot work, is one clear line and the right exit code, before any work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui.engine.client import EngineClient, NoEngine
from tests.cli.conftest import sdtui


@pytest.fixture(autouse=True)
def no_engine(home: Path) -> Iterator[Path]:
    """A home in which no engine is started."""
    yield home
    with pytest.raises(NoEngine):
        EngineClient.connect(start=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", ""], ["prompt", "empty"]),
        (["generate", "apple", "--steps", "-3"], ["steps", "-3"]),
        (["generate", "apple", "--steps", "many"], ["--steps", "integer"]),
        (["generate", "apple", "--scheduler", "magic"], ["scheduler", "magic", "dpm++2m"]),
        (["generate", "apple", "--size", "large"], ["size", "large", "512x512"]),
        (["generate", "apple", "--variation-strength", "2"], ["variation strength", "outside 0 to 1"]),
        (["generate", "apple", "--lora", "ink:99"], ["loras", "outside -10 to 10"]),
        (["generate", "apple", "--count", "2", "--output", "one.png"], ["one.png", "folder"]),
        (["generate", "apple", "--output", "one.jpg"], ["PNG"]),
        (["generate"], ["sdtui generate --help"]),
        (["generate", "apple", "--colour", "red"], ["--colour"]),
        (["paint"], ["paint", "sdtui --help"]),
        (["history"], ["sdtui history --help"]),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str], words: list[str]) -> None:
    sdtui(*arguments).refused(2, *words)


def test_the_studio_needs_a_terminal() -> None:
    sdtui().refused(2, "terminal", "sdtui generate")


def test_a_missing_model_ends_with_1(tmp_path: Path) -> None:
    sdtui("generate", "apple", "--model", tmp_path / "none").refused(1, "none")


def test_an_existing_file_is_kept_without_force(tiny_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_text("dear")
    sdtui("generate", "apple", "--model", tiny_bundle, "--output", file).refused(1, "a.png", "--force")
    assert file.read_text() == "dear"


def test_a_folder_that_cannot_be_written_ends_with_1(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # root may write everywhere but into what is no real folder
        folder = Path("/proc/sdtui")
    sdtui("generate", "apple", "--model", tiny_bundle, "--output", folder / "a.png").refused(1, "written")


def test_broken_settings_are_named(home: Path) -> None:
    file = home / "config" / "settings.toml"
    file.parent.mkdir()
    file.write_text("steps = -3\n")
    sdtui("generate", "apple").refused(1, "settings.toml", "steps")


def test_a_truncated_network_ends_with_1(home: Path, tiny_bundle: Path) -> None:
    model = home / "truncated"
    shutil.copytree(tiny_bundle, model)
    weights = next((model / "Unet.mlpackage").rglob("weight.bin"))
    os.truncate(weights, weights.stat().st_size // 2)
    sdtui("generate", "apple", "--model", model, "--in-process").refused(1, "Unet")


def test_a_picture_that_is_not_there_ends_with_1() -> None:
    sdtui("history", "show", "12").refused(1, "12")


def test_debug_shows_the_traceback() -> None:
    ran = sdtui("generate", "apple", "--model", "none", "--debug")
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("error: ")


def test_the_engine_can_be_asked_and_stopped_when_there_is_none() -> None:
    assert sdtui("engine", "status", "--json").objects == [{}]
    stopped = sdtui("engine", "stop")
    assert (stopped.code, stopped.out) == (0, "no engine is running\n")


def test_models_are_listed_and_shown(home: Path, tiny_bundle: Path) -> None:
    shutil.copytree(tiny_bundle, home / "data" / "models" / "mine")
    assert "mine" in [model["model"] for model in sdtui("models", "list", "--json").objects]
    shown = sdtui("models", "info", "mine")
    assert "64" in shown.out
    assert "Unet.mlpackage" in shown.out
    sdtui("models", "info", "other").refused(1, "other", "mine")
