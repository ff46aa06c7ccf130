"""The imitated framework, and networks that are loaded on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813 — as everyone calls it

from sdtui.request import ComputeUnits
from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.apple.cache import CompiledCache
from sdtui.runtime.apple.macos import MacOS
from tests.runtime.apple.mac import SEQUOIA, Opener, X
from tests.runtime.framework import Framework
from tests.runtime.programs import save_program


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Framework:
    imitation = Framework()
    monkeypatch.setitem(sys.modules, "coremltools", imitation.module)
    return imitation


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adds to a row of 16 numbers what lies in its weight file."""
    path = tmp_path_factory.mktemp("apple") / "Unet.mlpackage"
    return save_program(path, lambda x: mb.add(x=x, y=2 * X, name="sum"), X)


@pytest.fixture
def opened(package: Path, framework: Framework, tmp_path: Path) -> Opener:
    """Load the package on an imitated Mac."""
    assert not framework.said

    def open_(
        units: ComputeUnits = "all",
        macos: MacOS = SEQUOIA,
        path: Path = package,
        **more: Any,
    ) -> AppleNetwork:
        return AppleNetwork(path, units, cache=CompiledCache(tmp_path / "cache", 10**12, macos), **more)

    return open_
