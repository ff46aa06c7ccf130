"""How we use the Core ML framework, told by the conversation with an imitation of it."""

from __future__ import annotations

import gc
import inspect
import json
import shutil
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb  # noqa: N813 — as everyone calls it
from coremltools.models.utils import MultiFunctionDescriptor, save_multifunction

from sdtui.request import ComputeUnits
from sdtui.runtime import LoadingStage, NetworkError, Profile, TensorSpec, load_network
from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.apple.cache import CompiledCache
from sdtui.runtime.apple.entries import cache_entries
from sdtui.runtime.apple.ladder import hints
from sdtui.runtime.apple.macos import MacOS
from sdtui.runtime.portable.network import PortableNetwork
from tests.runtime.framework import ComputeUnit, Framework, ReshapeFrequency, SpecializationStrategy
from tests.runtime.mil_text_writer import compile_package
from tests.runtime.networks import Sample, psnr
from tests.runtime.programs import save_program

SEQUOIA = MacOS("15.1", "24B83")
UPDATED = MacOS("15.2", "24C101")
SPLIT = Profile("unet", "sd", 512, 512, "SPLIT_EINSUM")
X = np.arange(16, dtype=np.float32).reshape(1, 16)

Opener = Callable[..., AppleNetwork]


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


def run(network: AppleNetwork) -> None:
    assert np.array_equal(network.predict({"input_0": X})["sum"], 3 * X)


# ---- the boundary ------------------------------------------------------------------------------


def test_the_imitation_has_the_signatures_of_coremltools() -> None:
    imitation = Framework().module
    real = coremltools.models
    for ours, theirs in (
        (imitation.models.CompiledMLModel.__init__, real.CompiledMLModel.__init__),
        (imitation.models.CompiledMLModel.predict, real.CompiledMLModel.predict),
        (imitation.models.utils.compile_model, real.utils.compile_model),
    ):
        assert _parameters(ours) == _parameters(theirs)
    for enumeration in (ComputeUnit, ReshapeFrequency, SpecializationStrategy):
        theirs = getattr(coremltools, enumeration.__name__)
        assert {each.name: each.value for each in enumeration} == {each.name: each.value for each in theirs}


def _parameters(function: Callable[..., Any]) -> list[tuple[str, bool]]:
    """Names, and whether they may be left out."""
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.default is not inspect.Parameter.empty) for each in parameters]


def test_coremltools_takes_our_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coremltools.models.model._macos_version", lambda: (15, 1))
    verify = coremltools.models.model._verify_optimization_hint_input
    decoder = Profile("vae_decoder", "sd", 512, 512)
    for profile in (SPLIT, decoder, None):
        known = hints(profile, SEQUOIA)
        assert known
        verify(known)
    assert hints(SPLIT, SEQUOIA) == {
        "reshapeFrequency": coremltools.ReshapeFrequency.Infrequent,
        "specializationStrategy": coremltools.SpecializationStrategy.FastPrediction,
    }
    assert hints(decoder, SEQUOIA) == {"reshapeFrequency": coremltools.ReshapeFrequency.Infrequent}
    assert hints(SPLIT, MacOS("14.7", "23H124")) is None


# ---- compiled once -----------------------------------------------------------------------------


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


# ---- the ladder --------------------------------------------------------------------------------


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


# ---- stages ------------------------------------------------------------------------------------


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


# ---- running -----------------------------------------------------------------------------------


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


# ---- other ways in -----------------------------------------------------------------------------


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
