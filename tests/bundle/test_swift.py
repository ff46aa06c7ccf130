"""A bundle as other programs read it: Apple's names, compiled where there is a compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sdtui.bundle import Bundle, BundleError
from sdtui.bundle import swift as swift_module
from sdtui.bundle.importing import import_model
from sdtui.bundle.layouts import read_layout
from sdtui.bundle.swift import write_swift_resources

NAMES = ["TextEncoder", "Unet", "VAEDecoder", "VAEEncoder"]


@pytest.fixture
def rich(tiny_bundle: Path, tmp_path: Path) -> Bundle:
    """A bundle with everything that has a name there, and another size, which has none."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "rich")
    content = json.loads((folder / "bundle.json").read_text())
    unet = content["networks"].pop("unet")
    for name in ("A.mlpackage", "B.mlpackage", "controlnet/Canny.mlpackage", "Unet_32x32.mlpackage"):
        shutil.copytree(folder / "Unet.mlpackage", folder / name)
    shutil.rmtree(folder / "Unet.mlpackage")
    content["networks"]["control_unet"] = unet | {
        "file": "A.mlpackage", "second_half": "B.mlpackage", "sizes": {"32x32": "Unet_32x32.mlpackage"},
    }  # fmt: skip
    content["controlnets"] = {"Canny": unet | {"file": "controlnet/Canny.mlpackage"}}
    (folder / "bundle.json").write_text(json.dumps(content))
    return Bundle.open(folder)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A Mac whose compiler makes a folder of the package's name; returns how it was called."""
    calls = []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command[:3])
        package, folder = map(Path, command[3:])
        (folder / f"{package.stem}.mlmodelc").mkdir()
        (folder / f"{package.stem}.mlmodelc" / "metadata.json").write_text(package.name)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(swift_module, "COMPILES", True)
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_elsewhere_they_stay_packages(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swift_module, "COMPILES", False)
    bundle = Bundle.open(tiny_bundle)
    write_swift_resources(bundle, tmp_path / "Resources")
    assert sorted(each.name for each in (tmp_path / "Resources").iterdir()) == sorted(
        [*(f"{name}.mlpackage" for name in NAMES), "vocab.json", "merges.txt"]
    )
    assert import_model(tmp_path / "Resources", tmp_path / "models").bundle.hash == bundle.hash


def test_on_a_mac_they_are_compiled(rich: Bundle, tmp_path: Path, compiler: list[list[str]]) -> None:
    write_swift_resources(rich, tmp_path / "Resources")
    layout = read_layout(tmp_path / "Resources")
    assert {role: [half.name for half in halves] for role, halves in layout.networks.items()} == {
        "text_encoder": ["TextEncoder.mlmodelc"],
        "control_unet": ["ControlledUnetChunk1.mlmodelc", "ControlledUnetChunk2.mlmodelc"],
        "vae_decoder": ["VAEDecoder.mlmodelc"],
        "vae_encoder": ["VAEEncoder.mlmodelc"],
    }
    first, second = layout.networks["control_unet"]
    assert (first / "metadata.json").read_text() == "A.mlpackage"
    assert (second / "metadata.json").read_text() == "B.mlpackage"
    assert list(layout.controlnets) == ["Canny"]
    assert compiler == [["xcrun", "coremlcompiler", "compile"]] * 6


def test_a_compiler_that_fails(rich: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 72, "", "xcrun: error\nunable to find coremlcompiler\n")

    def missing(*_arguments: object, **_options: Any) -> None:
        raise FileNotFoundError("xcrun")

    monkeypatch.setattr(swift_module, "COMPILES", True)
    for run, why in ((fails, "unable to find coremlcompiler"), (missing, "there is no xcrun")):
        monkeypatch.setattr(subprocess, "run", run)
        with pytest.raises(BundleError, match=why):
            write_swift_resources(rich, tmp_path / "Resources")
    assert not (tmp_path / "Resources").exists()


def test_an_existing_folder_is_left_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "Resources").mkdir()
    with pytest.raises(BundleError, match="is not overwritten"):
        write_swift_resources(Bundle.open(tiny_bundle), tmp_path / "Resources")
    assert list((tmp_path / "Resources").iterdir()) == []
