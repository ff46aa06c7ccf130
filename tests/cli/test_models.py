"""``sdtui models`` from end to end: a process for each command, real folders."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdtui.spawn import environment, python
from tests.bundle.foreign import apple_folder, compiled_resources, resources, with_vocabulary
from tests.cli.conftest import Ran, sdtui

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def theirs(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A model as Apple's converter leaves it."""
    return with_vocabulary(tiny_bundle, apple_folder(tiny_bundle, tmp_path / "theirs"))


@pytest.fixture
def models(home: Path) -> Path:
    return home / "data" / "models"


def typed(answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command in a terminal where a person types ``answer``; its exit code and what it showed."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        python("sdtui", *arguments), env=environment(), stdin=end, stdout=end, stderr=subprocess.STDOUT
    )
    os.close(end)
    shown = b""
    try:
        while b"?" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, answer.encode())
        code = process.wait(60)
    finally:
        process.kill()
        os.close(terminal)
    return code, shown.decode()


def test_an_imported_model_is_shown_verified_and_makes_pictures(
    theirs: Path, models: Path, tmp_path: Path
) -> None:
    imported = sdtui("models", "import", theirs, "--name", "mine", "--json").objects[0]
    assert (imported["model"], imported["path"]) == ("mine", str(models / "mine"))
    assert sdtui("models", "info", "mine", "--json").objects == [imported]
    assert imported["sizes"] == ["64x64"]
    assert imported["attention"] == "ORIGINAL"
    assert imported["source"] == "somebody/tiny"
    unet = imported["networks"]["unet"]
    assert (unet["file"], unet["nbits"], unet["psnr"]) == ("Unet.mlpackage", None, None)
    assert sum(network["bytes"] for network in imported["networks"].values()) < imported["bytes"]

    shown = sdtui("models", "info", "mine").out
    for word in ("64 × 64", "ORIGINAL", "macOS13", "somebody/tiny", "Unet.mlpackage", "16 bits", "MB"):
        assert word in shown
    assert "mine" in sdtui("models", "list").out

    assert sdtui("models", "verify", "mine").code == 0
    picture = tmp_path / "picture.png"
    ran = sdtui(
        "generate", "a red apple", "--model", "mine", "--steps", "1", "--in-process", "--output", picture
    )
    assert ran.code == 0, ran.err
    assert picture.exists()


def test_everything_a_bundle_holds_is_shown(tiny_bundle: Path, models: Path) -> None:
    folder = shutil.copytree(tiny_bundle, models / "rich")
    content = json.loads((folder / "bundle.json").read_text())
    unet = content["networks"]["unet"]
    for name in ("Unet_32x64.mlpackage", "controlnet/Canny.mlpackage"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copytree(folder / "Unet.mlpackage", folder / name, copy_function=os.link)
    content["networks"]["unet"] |= {
        "sizes": {"32x64": "Unet_32x64.mlpackage"}, "nbits": 4.5, "encoding": "palettized", "psnr": 71.26,
    }  # fmt: skip
    content["controlnets"] = {"Canny": unet | {"file": "controlnet/Canny.mlpackage"}}
    content["adapters"] = [
        {"kind": "lora", "name": "detail", "sha256": "", "weight": 0.8},
        {"kind": "textual_inversion", "name": "toys", "sha256": "", "tokens": ["<toy>", "<toy>_1"]},
    ]
    (folder / "bundle.json").write_text(json.dumps(content))
    shown = sdtui("models", "info", "rich").out
    for words in (
        "64 × 64, 32 × 64", "4.5 bits palettized", "71.3 dB", "controlnet/Canny", "detail at 0.8",
        "toys: <toy> <toy>_1",
    ):  # fmt: skip
        assert words in shown
    known = sdtui("models", "info", "rich", "--json").objects[0]
    assert known["sizes"] == ["64x64", "32x64"]
    assert [adapter["name"] for adapter in known["adapters"]] == ["detail", "toys"]
    assert known["networks"]["unet"]["bytes"] == known["controlnets"]["Canny"]["bytes"], "links count once"


def test_what_is_imported_in_part_is_told(theirs: Path, tiny_bundle: Path) -> None:
    shutil.copytree(tiny_bundle / "Unet.mlpackage", theirs / "ControlNet_x_canny.mlpackage")
    ran = sdtui("models", "import", theirs)
    assert (ran.code, ran.out) == (0, "tiny\n")
    assert ran.err.startswith("note: its ControlNets are left out")


def test_refusals_are_one_line(theirs: Path, models: Path, tmp_path: Path) -> None:
    sdtui("models", "import", tmp_path / "nowhere").refused(1, "nowhere", "no such folder")
    sdtui("models", "import", models.parents[1]).refused(1, "bundle.json")
    sdtui("models", "import", theirs, "--move", "--copy").refused(2, "--move", "--copy")
    sdtui("models", "import", theirs, "--prediction-type", "x").refused(2, "prediction-type")
    shutil.rmtree(next(theirs.glob("*vae_decoder*")))
    sdtui("models", "import", theirs).refused(1, "not complete", "vae decoder")
    assert not models.exists()


def test_a_compiled_model_is_imported_and_makes_pictures(tiny_bundle: Path, tmp_path: Path) -> None:
    assert sdtui("models", "import", compiled_resources(tiny_bundle, tmp_path / "dreamy")).out == "dreamy\n"
    assert "Unet.mlmodelc" in sdtui("models", "info", "dreamy").out
    if sys.platform != "darwin":  # the framework would not load what only our tests have compiled
        picture = tmp_path / "picture.png"
        command = (
            "generate",
            "apple",
            "--model",
            "dreamy",
            "--steps",
            "1",
            "--in-process",
            "--output",
            picture,
        )
        assert sdtui(*command).code == 0
        assert picture.exists()


def test_a_disk_that_takes_no_more_keeps_nothing(models: Path, tmp_path: Path) -> None:
    """The system refuses files above 100 kB: CLIP's vocabulary is the first that is larger."""
    command = [*python("sdtui", "models", "import"), str(resources(tmp_path / "dreamy"))]
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", *command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    Ran(ran.returncode, ran.stdout, ran.stderr).refused(1, "file too large", "make room")
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_import_that_is_stopped_leaves_nothing(theirs: Path, models: Path, number: signal.Signals) -> None:
    """Stopped while it reads a weight file of 40 GB, which takes no disk and more than a moment."""
    os.truncate(next(theirs.glob("*unet*/**/weight.bin")), 40 << 30)
    process = subprocess.Popen(
        python("sdtui", "models", "import", str(theirs)), env=environment(), stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not any(models.glob(".sdtui-*/tiny/Unet.mlpackage/**/weight.bin")):
            assert process.poll() is None, "it ended early"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said == b""
    assert list(models.iterdir()) == []


def test_a_model_is_removed_when_somebody_says_so(tiny_bundle: Path, models: Path) -> None:
    shutil.copytree(tiny_bundle, models / "mine")
    sdtui("models", "remove", "mine").refused(2, "--yes")
    assert typed("n\n", "models", "remove", "mine")[0] == 0
    assert typed("\x04", "models", "remove", "mine")[0] == 0
    assert (models / "mine").exists()
    code, shown = typed("y\n", "models", "remove", "mine")
    assert (code, "Delete mine (" in shown) == (0, True)
    assert list(models.iterdir()) == []
    (models / "broken").mkdir()
    assert sdtui("models", "remove", "broken", "--yes").code == 0
    assert list(models.iterdir()) == []


def test_what_is_not_installed_is_not_removed(tiny_bundle: Path, models: Path) -> None:
    sdtui("models", "remove", "starter", "--yes").refused(1, "built in")
    sdtui("models", "remove", "mine", "--yes").refused(1, "there is no model mine")
    sdtui("models", "remove", str(tiny_bundle), "--yes").refused(1, "not lie in the models folder")
    models.mkdir(parents=True)
    sdtui("models", "remove", "..", "--yes").refused(1, "cannot be removed")
    (models / "linked").symlink_to(tiny_bundle)
    assert sdtui("models", "remove", "linked", "--yes").code == 0
    assert (tiny_bundle / "bundle.json").exists()
    assert models.is_dir()


def test_damage_is_found_and_the_rest_still_read(tiny_bundle: Path, models: Path) -> None:
    for name in ("a", "b", "c"):
        shutil.copytree(tiny_bundle, models / name)
    with next((models / "a" / "Unet.mlpackage").rglob("weight.bin")).open("ab") as weights:
        weights.write(b"\0")
    (models / "b" / "vocab.json").unlink()
    ran = sdtui("models", "verify")
    assert ran.code == 1
    assert [line.split() for line in ran.out.splitlines()] == [["starter", "whole"], ["c", "whole"]]
    damaged, incomplete = ran.err.splitlines()
    assert "Unet.mlpackage is not what was written" in damaged
    assert "vocab.json is missing" in incomplete
    ran = sdtui("models", "verify", "a", "c", "--json")
    assert ran.code == 1
    assert [(each["model"], each["whole"]) for each in ran.objects] == [("a", False), ("c", True)]


def test_looking_at_models_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'coremltools', 'transformers', 'diffusers', 'textual'}"
    program = f"""
import sys
from sdtui.cli import main
assert main(["models", "list"]) == main(["models", "info", "starter"]) == main(["models", "verify"]) == 0
print({heavy} & set(sys.modules))"""
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "set()"
