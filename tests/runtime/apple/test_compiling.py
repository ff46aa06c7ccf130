"""A network is compiled once, and again where that helps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sdtui.runtime import NetworkError, TensorSpec
from sdtui.runtime.apple.entries import cache_entries
from tests.runtime.apple.mac import UPDATED, Opener, run
from tests.runtime.framework import Framework


def test_it_compiles_once_and_then_only_loads(
    package: Path, framework: Framework, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened("cpu-and-ne").close()
    assert framework.heard() == ["compile", "load CPU_AND_NE"]
    monkeypatch.setattr("sdtui.runtime.apple.cache.content_sha256", pytest.fail)
    monkeypatch.setattr("sdtui.runtime.apple.cache.open_package", pytest.fail)
    network = opened("cpu-and-ne")
    assert framework.heard() == ["load CPU_AND_NE"]
    assert network.inputs == {"input_0": TensorSpec((1, 16), np.dtype(np.float32))}
    assert network.weight_bytes == next(package.rglob("weight.bin")).stat().st_size
    opened("cpu-only").close()
    assert framework.heard() == ["load CPU_ONLY"], "other units need no other copy"
    assert len(set(framework.loaded)) == 1
    assert framework.compiled[0] != framework.loaded[0], "what a kill leaves behind must not be loaded"


def test_a_copy_shares_the_compiled_network_and_other_content_does_not(
    package: Path, framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    opened().close()
    copy = tmp_path / "Copy.mlpackage"
    shutil.copytree(package, copy)
    framework.heard()
    opened(path=copy).close()
    assert framework.heard() == ["load ALL"]
    (entry,) = cache_entries(tmp_path / "cache")
    assert set(entry.record.sources) == {str(package.resolve()), str(copy.resolve())}
    with next(copy.rglob("weight.bin")).open("ab") as stream:
        stream.write(b"\0")
    opened(path=copy).close()
    assert framework.heard() == ["compile", "load ALL"]


def test_an_update_of_macos_compiles_again_and_removes_the_old(
    framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    opened().close()
    opened(macos=UPDATED).close()
    assert framework.heard() == ["compile", "load ALL", "compile", "load ALL"]
    (entry,) = cache_entries(tmp_path / "cache")
    assert (entry.record.macos, entry.record.os_build) == ("15.2", "24C101")
    assert [each.name for each in (tmp_path / "cache").iterdir() if not each.name.startswith(".")] == [
        entry.folder.name
    ]


def test_what_lies_beside_the_compiled_network_says_what_it_is(
    package: Path, opened: Opener, tmp_path: Path
) -> None:
    opened().close()
    (sidecar,) = (tmp_path / "cache").glob("*/network.json")
    record = json.loads(sidecar.read_bytes())
    assert record["interfaces"][""]["inputs"] == {"input_0": [[1, 16], "float32"]}
    assert list(record["interfaces"][""]["outputs"]) == ["sum"]
    assert list(record["sources"]) == [str(package.resolve())]
    assert (record["macos"], record["os_build"], record["coremltools"]) == ("15.1", "24B83", "9.0")
    assert sidecar.parent.name.startswith(record["sha256"][:32])


def test_a_cached_network_that_does_not_load_is_compiled_again_once(
    framework: Framework, opened: Opener
) -> None:
    opened("cpu-only").close()
    framework.heard()
    refusals = iter([True, False])
    framework.refuses_load = lambda _: next(refusals)
    run(opened("cpu-only"))
    assert framework.heard() == ["load CPU_ONLY refused", "compile", "load CPU_ONLY", "run CPU_ONLY"]


def test_a_network_that_is_in_use_is_not_compiled_under_its_users_feet(
    framework: Framework, opened: Opener
) -> None:
    user = opened("cpu-only")
    framework.heard()
    framework.refuses_load = lambda _: True
    with pytest.raises(NetworkError, match="unable to load the model"):
        opened("cpu-only")
    assert framework.heard() == ["load CPU_ONLY refused"]
    run(user)


def test_a_failed_compilation_leaves_nothing_that_counts(
    framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    def refuse(destination: Path) -> None:
        raise RuntimeError(f"Error compiling {destination.name}\nand more")

    framework.while_compiling = refuse
    with pytest.raises(NetworkError, match=r"cannot compile Unet\.mlpackage, error compiling network"):
        opened()
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [".locks"]


def test_a_full_disk_is_told_before_anything_is_compiled(
    framework: Framework, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr("sdtui.runtime.apple.cache.shutil.disk_usage", lambda _: usage)
    with pytest.raises(NetworkError, match=r"it takes 0\.0 GB of disk and 0\.0 GB are free, make room"):
        opened()
    assert framework.said == []
