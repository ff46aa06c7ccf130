"""What a load tells, and how a network is fed."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813 — as everyone calls it
from coremltools.models.utils import MultiFunctionDescriptor, save_multifunction

from sdtui.runtime import LoadingStage, NetworkError
from tests.runtime.apple.mac import UPDATED, Opener, X, run
from tests.runtime.framework import Framework
from tests.runtime.programs import save_program


def test_stages_come_with_what_they_took_last_time(opened: Opener) -> None:
    heard: list[LoadingStage] = []

    def stages(**more: Any) -> list[tuple[str, bool]]:
        heard.clear()
        opened(on_stage=heard.append, **more).close()
        assert [stage.elapsed for stage in heard] == sorted(stage.elapsed for stage in heard)
        return [(stage.stage, stage.expected is not None) for stage in heard]

    assert stages() == [("compiling", False), ("specialising", False), ("ready", False)]
    assert stages() == [("loading", False), ("ready", False)]
    assert stages() == [("loading", True), ("ready", False)]
    assert stages(units="cpu-only") == [("specialising", False), ("ready", False)]
    assert stages(macos=UPDATED) == [("compiling", True), ("specialising", True), ("ready", False)]


def test_it_feeds_the_same_buffers_for_its_life_and_never_frees_them(
    framework: Framework, opened: Opener
) -> None:
    network = opened()
    given = X.astype(np.float16)
    given.flags.writeable = False
    network.predict({"input_0": given})
    network.predict({"input_0": np.zeros_like(given)})
    first, second = (fed["input_0"] for fed in framework.fed)
    assert first is second
    watched = weakref.ref(first)
    address = first.ctypes.data
    framework.fed.clear()
    del first, second
    network.close()
    del network
    gc.collect()
    assert watched() is not None, "Core ML may still look at it"
    run(opened())
    assert framework.fed[0]["input_0"].ctypes.data == address


def test_answers_are_copies_of_the_declared_shape(
    framework: Framework, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = opened()
    theirs = np.ones((1, 16), np.float32)
    model = framework.module.models.CompiledMLModel
    monkeypatch.setattr(model, "predict", lambda *_: {"sum": theirs})
    answer = network.predict({"input_0": X})["sum"]
    theirs[:] = 0
    assert answer.dtype == np.float32
    assert np.array_equal(answer, np.ones((1, 16)))
    monkeypatch.setattr(model, "predict", lambda *_: {"sum": np.ones((1, 4, 4))})
    with pytest.raises(NetworkError, match=r"its sum has the shape \(1, 4, 4\), not \(1, 16\)"):
        network.predict({"input_0": X})
    monkeypatch.setattr(model, "predict", lambda *_: {"difference": theirs})
    with pytest.raises(NetworkError, match="it gave no sum"):
        network.predict({"input_0": X})


def test_wrong_inputs_and_closing_are_network_errors(opened: Opener) -> None:
    network = opened()
    with pytest.raises(NetworkError, match="the input input_0 is missing"):
        network.predict({})
    network.close()
    network.close()
    with pytest.raises(NetworkError, match="it is closed"):
        network.predict({"input_0": X})


def test_a_function_of_several_is_asked_for_by_name(
    package: Path, framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    wide = np.ones((1, 32), np.float32)
    other = save_program(tmp_path / "b.mlpackage", lambda x: mb.add(x=x, y=2 * wide, name="sum"), wide)
    both = MultiFunctionDescriptor()
    both.add_function(str(package), "main", "narrow")
    both.add_function(str(other), "main", "wide")
    both.default_function_name = "narrow"
    save_multifunction(both, str(tmp_path / "both.mlpackage"))
    path = tmp_path / "both.mlpackage"
    default, chosen = opened(path=path), opened(path=path, function="wide")
    assert default.inputs["input_0"].shape == (1, 16)
    assert chosen.inputs["input_0"].shape == (1, 32)
    assert np.array_equal(chosen.predict({"input_0": wide})["sum"], 3 * wide)
    assert framework.heard() == ["compile", "load ALL", "load ALL wide", "run ALL"]
