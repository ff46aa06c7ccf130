"""Ways to a network on Core ML: functions, imported ones, and paths to nothing."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdtui.runtime import NetworkError, TensorSpec, load_network
from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.apple.entries import cache_entries
from sdtui.runtime.portable.network import PortableNetwork
from tests.runtime.apple.mac import Opener
from tests.runtime.framework import Framework
from tests.runtime.mil_text_writer import compile_package
from tests.runtime.networks import Sample, psnr


def test_a_mac_uses_core_ml_unless_a_precision_is_asked_for(
    package: Path, framework: Framework, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDTUI_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(load_network(package), AppleNetwork)
    assert isinstance(load_network(package, precision="fp32"), PortableNetwork)
    assert framework.loaded[0].is_relative_to(tmp_path / "cache")


def test_an_imported_compiled_network_is_used_where_it_is(
    framework: Framework,
    opened: Opener,
    tmp_path: Path,
    sample: Callable[[str], Sample],
    converted: Callable[..., Path],
) -> None:
    compiled = tmp_path / "VAEDecoder.mlmodelc"
    package = converted("vae_decoder", "fp16", "macOS14")
    shutil.copytree(package, compiled / package.name)
    features = {"dataType": "Float16", "hasShapeFlexibility": "0"}
    metadata = {
        "inputSchema": [{"name": "z", "shape": "[1, 4, 8, 8]", **features}],
        "outputSchema": [{"name": "image", "shape": "[]", **features}],
    }
    (compiled / "metadata.json").write_text(json.dumps([metadata]))
    framework.refuses_load = lambda units: units == "ALL"
    network = opened(path=compiled)
    assert network.inputs == {"z": TensorSpec((1, 4, 8, 8), np.dtype(np.float16))}
    original = sample("vae_decoder")
    assert psnr(original.expected, network.predict(original.inputs)["image"]) >= 55
    opened(path=compiled).close()
    assert framework.heard() == [
        "load ALL refused",
        "load CPU_AND_GPU",
        "run CPU_AND_GPU",
        "load CPU_AND_GPU",
    ]
    assert set(framework.loaded) == {compiled}
    (entry,) = cache_entries(tmp_path / "cache")
    assert entry.bytes < 10_000, "nothing is copied"


def test_a_compiled_network_without_metadata_is_told_by_its_program(
    package: Path, framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    compiled = compile_package(package, tmp_path / "Unet.mlmodelc", metadata=False)
    network = opened(path=compiled)
    assert network.inputs == {"input_0": TensorSpec((1, 16), np.dtype(np.float32))}
    assert framework.heard() == ["load ALL"]


@pytest.mark.parametrize("content", [None, "", "[]", "[{}]", '[{"inputSchema": 3, "outputSchema": []}]'])
def test_a_compiled_network_that_says_nothing_is_refused(
    content: str | None, framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    compiled = tmp_path / "Unet.mlmodelc"
    compiled.mkdir()
    if content is not None:
        (compiled / "metadata.json").write_text(content)
    with pytest.raises(NetworkError, match=r"cannot load Unet\.mlmodelc"):
        opened(path=compiled)
    assert framework.said == []


def test_a_path_that_holds_no_network_is_told(framework: Framework, opened: Opener, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="does not exist"):
        opened(path=tmp_path / "No.mlpackage")
    (tmp_path / "Folder.mlpackage").mkdir()
    with pytest.raises(NetworkError, match=r"it is not an \.mlpackage"):
        opened(path=tmp_path / "Folder.mlpackage")
    assert framework.said == []
