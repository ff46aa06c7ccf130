"""Compiled networks on disk: made by one process at a time, whole or not at all, kept under a limit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813 — as everyone calls it

from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.apple.cache import CompiledCache
from sdtui.runtime.apple.entries import cache_entries, prune
from sdtui.runtime.apple.identity import size
from sdtui.runtime.apple.macos import MacOS
from sdtui.settings import Settings, places, save_settings
from sdtui.spawn import environment, python
from tests.runtime.framework import Framework
from tests.runtime.programs import save_program

ROOT = Path(__file__).parents[2]
SEQUOIA = MacOS("15.1", "24B83")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    row = np.arange(16, dtype=np.float32).reshape(1, 16)
    path = tmp_path_factory.mktemp("cache") / "Unet.mlpackage"
    return save_program(path, lambda x: mb.add(x=x, y=row, name="sum"), row)


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Framework:
    imitation = Framework()
    monkeypatch.setitem(sys.modules, "coremltools", imitation.module)
    return imitation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "coreml"


@pytest.fixture
def variant(package: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A package of other content under this name."""

    def make(name: str) -> Path:
        copy = tmp_path / f"{name}.mlpackage"
        shutil.copytree(package, copy)
        with next(copy.rglob("weight.bin")).open("ab") as stream:
            stream.write(name.encode().ljust(10_000))
        return copy

    return make


Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(package: Path, folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a process that loads the package; see :mod:`tests.runtime.compiling`."""
    with ExitStack() as stack:

        def begin() -> subprocess.Popen[str]:
            process = subprocess.Popen(
                python("tests.runtime.compiling", str(package), str(folder), str(tmp_path / "log")),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**environment(), "PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, sys.path)))},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def says(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == words


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    print(file=process.stdin, flush=True)


def opened(path: Path, folder: Path, limit: int = 10**12) -> AppleNetwork:
    return AppleNetwork(path, "cpu-only", cache=CompiledCache(folder, limit, SEQUOIA))


def names(folder: Path) -> list[str]:
    return [Path(next(iter(entry.record.sources))).stem for entry in cache_entries(folder)]


# ---- processes ---------------------------------------------------------------------------------


def test_two_processes_compile_once(start: Start, folder: Path, tmp_path: Path) -> None:
    first = start()
    says(first, "begun")
    says(first, "compiling")
    second = start()
    says(second, "begun")
    assert cache_entries(folder) == [], "half a network does not count"
    tell(first)
    says(first, "ready")
    says(second, "ready")
    assert (tmp_path / "log").read_text() == "compiled\n"
    assert len(cache_entries(folder)) == 1


def test_a_cancel_while_it_compiles_leaves_nothing_that_counts(
    start: Start, package: Path, folder: Path, framework: Framework
) -> None:
    """A cancel ends the process: the binding lets nothing else happen while it compiles."""
    killed = start()
    says(killed, "begun")
    says(killed, "compiling")
    killed.kill()
    killed.wait()
    (left,) = folder.glob(".sdtui-*")
    assert cache_entries(folder) == []
    opened(package, folder)
    assert framework.heard() == ["compile", "load CPU_ONLY"]
    assert not left.exists()
    assert len(cache_entries(folder)) == 1


def test_pruning_sweeps_up_what_was_killed_and_not_what_is_being_made(start: Start, folder: Path) -> None:
    process = start()
    says(process, "begun")
    says(process, "compiling")
    (unfinished,) = folder.glob(".sdtui-*")
    prune(0, folder)
    assert unfinished.exists()
    process.kill()
    process.wait()
    prune(10**12, folder)
    assert not unfinished.exists()


# ---- the limit ---------------------------------------------------------------------------------


def test_the_least_recently_used_go_first(
    framework: Framework, folder: Path, variant: Callable[[str], Path]
) -> None:
    paths = {name: variant(name) for name in "abc"}
    for path in paths.values():
        opened(path, folder).close()
    opened(paths["a"], folder).close()
    assert names(folder) == ["b", "c", "a"]
    sizes = [entry.bytes for entry in cache_entries(folder)]
    assert min(sizes) > 10_000
    assert [Path(next(iter(entry.record.sources))).stem for entry in prune(sum(sizes) - 1, folder)] == ["b"]
    assert names(folder) == ["c", "a"]
    assert framework.compiled, "they were really made"


def test_those_whose_model_is_gone_go_before_all_others(
    framework: Framework, folder: Path, variant: Callable[[str], Path]
) -> None:
    paths = {name: variant(name) for name in "abc"}
    for path in paths.values():
        opened(path, folder).close()
    shutil.rmtree(paths["c"])
    prune(sum(entry.bytes for entry in cache_entries(folder)) - 1, folder)
    assert names(folder) == ["a", "b"]
    assert prune(10**12, folder) == []
    assert framework.compiled


def test_a_new_one_makes_room_but_never_takes_what_is_in_use(
    framework: Framework, folder: Path, variant: Callable[[str], Path]
) -> None:
    used, idle = opened(variant("used"), folder), opened(variant("idle"), folder)
    idle.close()
    newest = opened(variant("new"), folder, limit=0)
    assert names(folder) == ["used", "new"]
    used.close()
    newest.close()
    prune(0, folder)
    assert names(folder) == []
    assert framework.compiled


def test_a_disk_that_is_nearly_full_gets_rid_of_the_oldest(
    framework: Framework, folder: Path, variant: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {name: variant(name) for name in "abc"}
    for name in "ab":
        opened(paths[name], folder).close()
    disk = sum(entry.bytes for entry in cache_entries(folder)) + 2 * size(paths["c"]) - 1

    def usage(_: Path) -> object:
        return SimpleNamespace(free=disk - sum(entry.bytes for entry in cache_entries(folder)))

    monkeypatch.setattr("sdtui.runtime.apple.cache.shutil.disk_usage", usage)
    opened(paths["c"], folder).close()
    assert names(folder) == ["b", "c"]
    assert framework.compiled


def test_what_is_no_entry_is_no_entry(framework: Framework, folder: Path, package: Path) -> None:
    opened(package, folder).close()
    (entry,) = cache_entries(folder)
    (entry.folder / "network.json").write_text('{"format": 99}')
    framework.heard()
    opened(package, folder).close()
    assert framework.heard() == ["compile", "load CPU_ONLY"]
    assert cache_entries(folder.with_name("nowhere")) == []


def test_the_limit_is_a_setting_and_broken_settings_stop_nobody(home: Path) -> None:
    save_settings(Settings(compiled_cache_gigabytes=1.5))
    assert CompiledCache().limit == 1_500_000_000
    assert CompiledCache().folder.is_relative_to(home)
    places().settings_file.write_text("compiled_cache_gigabytes = -1")
    assert CompiledCache().limit == 30_000_000_000
