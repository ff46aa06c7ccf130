"""How we use the Core ML framework: the one thing that tests may imitate.

The imitation has coremltools' own signatures (checked against the installed package) and refuses
what the real binding refuses. It compiles by copying and predicts with the portable runtime.
"""

from __future__ import annotations

import enum
import inspect
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import coremltools
import numpy as np
import pytest

from sdtui.runtime import Array, NetworkError, TensorSpec, load_network
from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.portable.network import PortableNetwork
from tests.runtime.conftest import Sample, psnr


class _ComputeUnit(enum.Enum):
    ALL = 1
    CPU_AND_GPU = 2
    CPU_ONLY = 3
    CPU_AND_NE = 4


class _Framework:
    """Counts what it is asked for; ``refusals`` loads fail before one succeeds."""

    def __init__(self) -> None:
        self.compiled: list[tuple[Path, Path]] = []
        self.loaded: list[tuple[Path, _ComputeUnit]] = []
        self.fed: list[dict[str, Array]] = []
        self.refusals = 0
        self.predict_error: Exception | None = None
        framework = self

        class CompiledMLModel:
            def __init__(
                self,
                path: str,
                compute_units: _ComputeUnit = _ComputeUnit.ALL,
                function_name: str | None = None,
                optimization_hints: dict[str, Any] | None = None,
                asset: object | None = None,
            ) -> None:
                assert path.endswith(".mlmodelc")
                assert (function_name, optimization_hints, asset) == (None, None, None)
                if framework.refusals:
                    framework.refusals -= 1
                    raise RuntimeError("Unable to load the model.\nDetails nobody wants")
                framework.loaded.append((Path(path), compute_units))
                package = next(Path(path).glob("*.mlpackage"))
                self._network = PortableNetwork(package, precision="fp32")

            def predict(self, data: dict[str, Array], state: object | None = None) -> dict[str, Array]:
                assert state is None
                if framework.predict_error:
                    raise framework.predict_error
                for array in data.values():
                    assert array.flags.writeable
                    assert array.flags.c_contiguous
                    assert array.dtype in (np.float32, np.int32)
                    assert array.ndim
                framework.fed.append(dict(data))
                results = self._network.predict(data)
                data.clear()
                return results

        self.module = SimpleNamespace(
            __version__="9.0",
            __spec__=object(),
            ComputeUnit=_ComputeUnit,
            models=SimpleNamespace(
                CompiledMLModel=CompiledMLModel,
                utils=SimpleNamespace(compile_model=self._compile_model),
            ),
        )

    def _compile_model(self, model: str, destination_path: str | None = None) -> str:
        assert destination_path is not None
        assert destination_path.endswith(".mlmodelc")
        assert not Path(destination_path).exists()
        self.compiled.append((Path(model), Path(destination_path)))
        shutil.copytree(model, Path(destination_path) / Path(model).name)
        return destination_path


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> _Framework:
    imitation = _Framework()
    monkeypatch.setitem(sys.modules, "coremltools", imitation.module)
    return imitation


@pytest.fixture
def package(converted: Callable[..., Path]) -> Path:
    return converted("vae_decoder", "fp16", "macOS14")


def test_the_imitation_has_the_signatures_of_coremltools() -> None:
    imitation = _Framework().module
    real = coremltools.models
    for ours, theirs in (
        (imitation.models.CompiledMLModel.__init__, real.CompiledMLModel.__init__),
        (imitation.models.CompiledMLModel.predict, real.CompiledMLModel.predict),
        (imitation.models.utils.compile_model, real.utils.compile_model),
    ):
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert {unit.name: unit.value for unit in _ComputeUnit} == {
        unit.name: unit.value for unit in coremltools.ComputeUnit
    }


def test_it_compiles_once_and_then_loads_from_the_cache(
    package: Path, framework: _Framework, tmp_path: Path
) -> None:
    AppleNetwork(package, "cpu-and-ne", tmp_path).close()
    AppleNetwork(package, "cpu-and-ne", tmp_path).close()
    assert len(framework.compiled) == 1
    (first, units), (second, _) = framework.loaded
    assert first == second
    assert units is _ComputeUnit.CPU_AND_NE
    assert framework.compiled[0][1] != first, "what a kill leaves behind must not be loaded"
    assert list(tmp_path.glob("coreml/.sdtui-*")) == []


def test_other_units_and_other_content_are_compiled_on_their_own(
    package: Path, framework: _Framework, tmp_path: Path
) -> None:
    AppleNetwork(package, "all", tmp_path)
    AppleNetwork(package, "cpu-only", tmp_path)
    changed = tmp_path / "changed.mlpackage"
    shutil.copytree(package, changed)
    with next(changed.rglob("weight.bin")).open("ab") as stream:
        stream.write(b"\0")
    AppleNetwork(changed, "all", tmp_path)
    assert len({path for path, _ in framework.loaded}) == 3


def test_an_update_of_macos_compiles_again_and_removes_the_old(
    package: Path, framework: _Framework, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for build in ("25A1", "25B2"):
        monkeypatch.setattr("sdtui.runtime.apple._os_build", lambda build=build: build)
        AppleNetwork(package, "all", tmp_path)
    assert len(framework.compiled) == 2
    (folder,) = (tmp_path / "coreml").iterdir()
    identity = json.loads((folder / "network.json").read_bytes())
    assert identity["os_build"] == "25B2"
    assert identity["inputs"] == {"z": [[1, 4, 8, 8], "float32"]}


def test_a_broken_cache_entry_is_compiled_again_once(
    package: Path, framework: _Framework, tmp_path: Path
) -> None:
    AppleNetwork(package, "all", tmp_path)
    framework.refusals = 1
    AppleNetwork(package, "all", tmp_path)
    assert len(framework.compiled) == 2
    framework.refusals = 2
    with pytest.raises(NetworkError, match="unable to load the model, choose other compute units"):
        AppleNetwork(package, "all", tmp_path)
    assert len(framework.compiled) == 3


def test_a_failed_compilation_leaves_nothing_behind(
    package: Path, framework: _Framework, tmp_path: Path
) -> None:
    def refuse(model: str, destination_path: str) -> str:
        Path(destination_path).mkdir()
        raise RuntimeError(f"Error compiling {model}")

    framework.module.models.utils.compile_model = refuse
    with pytest.raises(NetworkError, match="error compiling"):
        AppleNetwork(package, "all", tmp_path)
    assert list((tmp_path / "coreml").iterdir()) == []


def test_it_feeds_the_same_buffers_every_time_and_copies_results(
    package: Path, framework: _Framework, tmp_path: Path, sample: Callable[[str], Sample]
) -> None:
    original = sample("vae_decoder")
    network = AppleNetwork(package, "all", tmp_path)
    assert network.runtime == "coreml all"
    assert network.inputs == {"z": TensorSpec((1, 4, 8, 8), np.dtype(np.float32))}
    frozen = original.inputs["z"].astype(np.float16)
    frozen.flags.writeable = False
    first = network.predict({"z": frozen})["image"]
    second = network.predict({"z": np.zeros_like(frozen)})["image"]
    assert psnr(original.expected, first) >= 55
    assert not np.array_equal(first, second)
    assert framework.fed[0]["z"] is framework.fed[1]["z"]
    buffer = framework.fed[0]["z"]
    network.close()
    again = AppleNetwork(package, "all", tmp_path)
    again.predict({"z": frozen})
    assert framework.fed[2]["z"] is buffer, "Core ML may still look at it: it must not be freed"


def test_wrong_inputs_failures_and_closing_are_network_errors(
    package: Path, framework: _Framework, tmp_path: Path
) -> None:
    network = AppleNetwork(package, "all", tmp_path)
    with pytest.raises(NetworkError, match="the input z is missing"):
        network.predict({})
    framework.predict_error = RuntimeError("Error computing NN outputs.")
    with pytest.raises(NetworkError, match="error computing NN outputs, choose other compute units"):
        network.predict({"z": np.zeros((1, 4, 8, 8), np.float32)})
    network.close()
    with pytest.raises(NetworkError, match="it is closed"):
        network.predict({"z": np.zeros((1, 4, 8, 8), np.float32)})


def test_a_mac_uses_core_ml_unless_a_precision_is_asked_for(
    package: Path, framework: _Framework, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDTUI_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(load_network(package), AppleNetwork)
    assert isinstance(load_network(package, precision="fp32"), PortableNetwork)
    assert framework.loaded[0][0].is_relative_to(tmp_path / "cache")


def test_a_compiled_network_is_loaded_where_it_is(
    package: Path, framework: _Framework, tmp_path: Path, sample: Callable[[str], Sample]
) -> None:
    compiled = tmp_path / "VAEDecoder.mlmodelc"
    shutil.copytree(package, compiled / package.name)
    features = {"dataType": "Float16", "hasShapeFlexibility": "0"}
    metadata = {
        "inputSchema": [{"name": "z", "shape": "[1, 4, 8, 8]", **features}],
        "outputSchema": [{"name": "image", "shape": "[]", **features}],
    }
    (compiled / "metadata.json").write_text(json.dumps([metadata]))
    network = AppleNetwork(compiled, "cpu-only", tmp_path / "cache")
    assert network.inputs == {"z": TensorSpec((1, 4, 8, 8), np.dtype(np.float16))}
    original = sample("vae_decoder")
    assert psnr(original.expected, network.predict(original.inputs)["image"]) >= 55
    assert framework.compiled == []
    assert framework.loaded == [(compiled, _ComputeUnit.CPU_ONLY)]


@pytest.mark.parametrize("content", [None, "", "[]", "[{}]", '[{"inputSchema": 3, "outputSchema": []}]'])
def test_a_compiled_network_that_says_nothing_is_refused(
    content: str | None, framework: _Framework, tmp_path: Path
) -> None:
    compiled = tmp_path / "Unet.mlmodelc"
    compiled.mkdir()
    if content is not None:
        (compiled / "metadata.json").write_text(content)
    with pytest.raises(NetworkError, match=r"cannot load Unet\.mlmodelc"):
        AppleNetwork(compiled, "all", tmp_path)
    assert framework.loaded == []
