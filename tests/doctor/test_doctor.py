"""``sdtui doctor``: real processes, in good and in broken surroundings."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdtui.doctor.finding import Finding
from sdtui.engine.client import EngineClient
from tests.cli.conftest import Ran, sdtui

SECTIONS = {
    "installation", "machine", "folders", "caches", "engine", "models", "golden latents", "terminal"
}  # fmt: skip
NOT_OURS = "/sys" if sys.platform == "linux" else "/System"
"""Where nobody writes, root neither."""


class Diagnosis(msgspec.Struct, forbid_unknown_fields=True):
    """What ``--json`` prints."""

    version: str
    problems: int
    findings: list[Finding]

    def of(self, section: str, subject: str) -> Finding:
        (found,) = [each for each in self.findings if (each.section, each.subject) == (section, subject)]
        return found


def diagnosed(*arguments: str, code: int = 0) -> Diagnosis:
    ran = sdtui("doctor", "--json", *arguments)
    assert ran.code == code, ran
    assert "Traceback" not in ran.err
    found = msgspec.json.decode(ran.out, type=Diagnosis)
    assert found.problems == sum(each.level == "problem" for each in found.findings)
    for each in found.findings:
        assert "\n" not in each.told + each.remedy
        assert each.told
        assert bool(each.remedy) or each.level == "ok", each
    return found


def test_a_healthy_installation(home: Path) -> None:
    found = diagnosed()
    assert {each.section for each in found.findings} == SECTIONS
    assert "starter" in [each.subject for each in found.findings]
    assert found.of("models", "starter").told.endswith("whole")
    assert found.of("folders", "data").figures["exists"] is False
    assert found.of("engine", "process").told.startswith("none runs")
    assert not list(home.iterdir()), "nothing is made by looking"


@pytest.mark.usefixtures("home")
def test_a_person_reads_levels_as_words_and_sees_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ran = sdtui("doctor", "--terminal")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    for section in SECTIONS:
        assert section in lines
    assert any(line.startswith("  ok       torch") for line in lines)
    assert lines[-1].startswith("no problems, ")
    pictures = [line for line in lines if line and set(line) <= set("▀▄█ ") and "▀" in line]
    assert len(pictures) >= 18
    assert any(line.startswith("  ok       pictures           half blocks") for line in lines)


def test_each_broken_thing_is_one_line(home: Path, tiny_bundle: Path) -> None:
    models = home / "data/models"
    models.mkdir(parents=True)
    for name in ("whole", "cut", "damaged", "stray"):
        shutil.copytree(tiny_bundle, models / name)
    (models / "cut/bundle.json").write_text((tiny_bundle / "bundle.json").read_text()[:100])
    weights = next((models / "damaged").rglob("weight.bin"))
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)
    (models / "stray/bundle.json").unlink()
    (home / "cache").write_text("a file where a folder should be")
    (home / "config").mkdir()
    (home / "config/settings.toml").write_text("steps = 'many'\n")
    (home / "runtime").symlink_to("/")

    found = diagnosed(code=1)
    wrong = {(each.section, each.subject): each.told for each in found.findings if each.level == "problem"}
    for place, words in {
        ("models", "cut"): "bundle.json",
        ("models", "damaged"): "not what was written",
        ("models", "stray"): "no bundle.json",
        ("folders", "cache"): "cannot be written",
        ("folders", "settings"): "steps",
        ("folders", "runtime"): "not a folder of yours",
    }.items():
        assert words in wrong.pop(place)
    assert {section for section, _ in wrong} <= {"caches"}, "its limit is in the settings"
    assert found.of("models", "whole").level == "ok"
    ran = sdtui("doctor")
    assert ran.code == 1
    assert sum(line.startswith("  problem ") for line in ran.out.splitlines()) == found.problems


def test_folders_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_HOME", NOT_OURS + "/sdtui")
    found = diagnosed(code=1)
    for name in ("config", "data", "models", "pictures", "cache", "state"):
        folder = found.of("folders", name)
        assert (folder.level, folder.figures["writable"]) == ("problem", False)
        assert NOT_OURS in folder.told


def test_a_runtime_folder_that_is_open_to_others(home: Path) -> None:
    (home / "runtime").mkdir(mode=0o755)
    finding = diagnosed().of("folders", "runtime")
    assert (finding.level, "mode 755" in finding.told) == ("note", True)


def test_compiled_networks_are_counted_by_model(home: Path) -> None:
    for name, source, size in (
        ("a1", "/models/six/Unet", 5000),
        ("a2", "/models/six/VAE", 7000),
        ("b", None, 11),
    ):
        entry = home / "cache/coreml" / name
        (entry / "network.mlmodelc").mkdir(parents=True)
        (entry / "network.mlmodelc/weight.bin").write_bytes(bytes(size))
        if source:
            (entry / "network.json").write_text(json.dumps({"sources": {f"{source}.mlpackage": "stamp"}}))
    (home / "cache/coreml/.locks").mkdir()
    found = diagnosed()
    assert 12000 < int(found.of("caches", "six").figures["bytes"] or 0) < 13000
    assert found.of("caches", "of unknown models").figures["bytes"] == 11
    whole = found.of("caches", "compiled networks")
    assert (whole.level, whole.figures["networks"]) == ("ok", 3)
    (home / "config").mkdir()
    (home / "config/settings.toml").write_text("compiled_cache_gigabytes = 0.000001\n")
    assert diagnosed().of("caches", "compiled networks").level == "note"


@pytest.mark.usefixtures("home")
def test_the_engine_is_asked_and_left_alone() -> None:
    client = EngineClient.connect()
    try:
        found = diagnosed()
        pid = found.of("engine", "process").figures["pid"]
        assert int(found.of("engine", "memory").figures["bytes"] or 0) > 1e6
        hello = EngineClient.hello()
        assert hello is not None
        assert hello.pid == pid
    finally:
        client.close()
        EngineClient.stop(timeout=30)
    assert EngineClient.hello() is None


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--json", "--terminal"), "no JSON"), (("--model", "starter"), "--golden")],
)
def test_refusals(arguments: tuple[str, ...], words: str) -> None:
    refused: Ran = sdtui("doctor", *arguments)
    refused.refused(2, words)


def test_unforeseen_names_in_figures_are_plain(home: Path) -> None:
    (home / "data/models/über spaß").mkdir(parents=True)
    found: Any = diagnosed(code=1)
    assert found.of("models", "über spaß").level == "problem"
