"""Where units fail, others are used, and that is told and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.runtime import LoadingStage, NetworkError, Profile
from sdtui.runtime.apple.entries import cache_entries
from tests.runtime.apple.mac import SPLIT, UPDATED, Opener, X, run
from tests.runtime.framework import Framework


def test_it_steps_down_where_loading_fails_says_so_and_remembers(
    framework: Framework, opened: Opener
) -> None:
    heard: list[LoadingStage] = []
    framework.refuses_load = lambda units: units == "CPU_AND_NE"
    network = opened("cpu-and-ne", on_stage=heard.append)
    run(network)
    assert network.runtime == "coreml cpu-and-gpu"
    assert framework.heard() == [
        "compile",
        "load CPU_AND_NE refused",
        "load CPU_AND_GPU",
        "run CPU_AND_GPU",
    ]
    assert [stage.note for stage in heard if stage.note] == [
        "cpu-and-ne failed (unable to load the model), cpu-and-gpu is used instead"
    ]
    network.close()
    opened("cpu-and-ne").close()
    assert framework.heard() == ["load CPU_AND_GPU"], "the next start goes straight there"
    opened("cpu-and-ne", UPDATED).close()
    assert framework.heard()[1] == "load CPU_AND_NE refused", "another macOS may do better"


def test_it_steps_down_where_the_first_run_fails(framework: Framework, opened: Opener) -> None:
    heard: list[LoadingStage] = []
    network = opened(profile=SPLIT, on_stage=heard.append)
    assert network.runtime == "coreml cpu-and-ne"
    framework.refuses_run = lambda units: units != "CPU_ONLY"
    framework.heard()
    run(network)
    assert framework.heard() == [
        "run CPU_AND_NE refused",
        "load CPU_AND_GPU",
        "run CPU_AND_GPU refused",
        "load CPU_ONLY",
        "run CPU_ONLY",
    ]
    assert network.runtime == "coreml cpu-only"
    assert heard[-2].note == "cpu-and-gpu failed (error computing NN outputs), cpu-only is used instead"
    opened(profile=SPLIT).close()
    assert framework.heard() == ["load CPU_ONLY"]


def test_a_run_that_fails_after_others_went_well_is_an_error(framework: Framework, opened: Opener) -> None:
    network = opened("cpu-and-gpu")
    run(network)
    framework.heard()
    framework.refuses_run = lambda _: True
    with pytest.raises(NetworkError, match="error computing NN outputs, choose other compute units"):
        network.predict({"input_0": X})
    assert framework.heard() == ["run CPU_AND_GPU refused"]
    framework.refuses_run = lambda _: False
    run(network)


def test_where_every_rung_fails_nothing_is_held_against_them(
    framework: Framework, opened: Opener, tmp_path: Path
) -> None:
    framework.refuses_run = lambda _: True
    network = opened("cpu-and-gpu")
    with pytest.raises(NetworkError, match="cannot run"):
        network.predict({"input_0": X})
    with pytest.raises(NetworkError, match="it is closed"):
        network.predict({"input_0": X})
    (entry,) = cache_entries(tmp_path / "cache")
    assert entry.record.unfit == {}
    framework.refuses_run = lambda _: False
    framework.heard()
    run(opened("cpu-and-gpu"))
    assert framework.heard() == ["load CPU_AND_GPU", "run CPU_AND_GPU"]


def test_units_that_are_known_to_fail_are_not_tried_and_it_says_why(
    framework: Framework, opened: Opener
) -> None:
    heard: list[LoadingStage] = []
    opened("cpu-and-ne", profile=Profile("unet", "sdxl", 1024, 1024, "SPLIT_EINSUM"), on_stage=heard.append)
    assert framework.heard() == ["compile", "load CPU_AND_GPU"]
    assert heard[0].note.startswith("cpu-and-ne is not used: the Neural Engine's compiler does not")
    assert "ml-stable-diffusion#242" in heard[0].note
    assert heard[0].note.endswith("cpu-and-gpu is used instead")
