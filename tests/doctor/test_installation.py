"""What is installed, and what would help that is not."""

from __future__ import annotations

import pytest

from sdtui.doctor import installation


def _openvino(monkeypatch: pytest.MonkeyPatch, platform: str, machine: str, version: str | None) -> list[str]:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("platform.machine", lambda: machine)
    known = installation._version
    monkeypatch.setattr(installation, "_version", lambda name: version if name == "openvino" else known(name))
    found = [each for each in installation.installation() if each.subject == "openvino"]
    return [f"{each.level}: {each.remedy}" for each in found]


def test_openvino_is_suggested_where_it_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    suggestion = 'note: python -m pip install "sdtui[openvino]"'
    assert _openvino(monkeypatch, "linux", "x86_64", None) == [suggestion]
    assert _openvino(monkeypatch, "linux", "x86_64", "2026.4.1") == ["ok: "]
    assert _openvino(monkeypatch, "linux", "aarch64", None) == []
    assert _openvino(monkeypatch, "darwin", "arm64", None) == []


def test_numbers_depend_on_openvino_too(monkeypatch: pytest.MonkeyPatch) -> None:
    _openvino(monkeypatch, "linux", "x86_64", "2026.4.1")
    assert installation.versions()["openvino"] == "2026.4.1"
