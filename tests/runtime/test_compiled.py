"""Compiled networks on the portable runtime, against the packages that they were written from."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from sdtui.runtime import Array, NetworkError, TensorSpec, load_network
from sdtui.runtime.portable.compiled import open_compiled
from tests.runtime.mil_text_writer import SPELLINGS, Spelling, compile_package
from tests.runtime.networks import NETWORKS, Sample
from tests.runtime.programs import EVERY_CONSTANT_INPUT, save_every_constant
from tests.runtime.test_networks import FP32


def _predicted(path: Path, inputs: Mapping[str, Array]) -> dict[str, bytes]:
    network = load_network(path, precision="fp32")
    return {name: array.tobytes() for name, array in network.predict(inputs).items()}


@pytest.mark.parametrize(
    ("name", "precision", "target"),
    [(name, "fp32", target) for name, target in FP32] + [(name, "fp16", "macOS14") for name in NETWORKS],
)
def test_a_compiled_network_gives_the_bytes_of_its_package(
    name: str,
    precision: str,
    target: str,
    sample: Callable[[str], Sample],
    converted: Callable[..., Path],
    tmp_path: Path,
) -> None:
    package = converted(name, precision, target)
    compiled = compile_package(package, tmp_path / "Network.mlmodelc", SPELLINGS[target])
    ours, theirs = load_network(compiled, precision="fp32"), load_network(package, precision="fp32")
    assert (ours.inputs, ours.outputs) == (theirs.inputs, theirs.outputs)
    assert ours.weight_bytes == theirs.weight_bytes > 0
    assert ours.runtime == theirs.runtime
    inputs = sample(name).inputs
    assert _predicted(compiled, inputs) == _predicted(package, inputs)


@pytest.fixture(scope="module")
def package(converted: Callable[..., Path]) -> Path:
    return converted("vae_decoder", "fp16", "macOS14")


@pytest.fixture
def compiled(package: Path, tmp_path: Path) -> Path:
    return compile_package(package, tmp_path / "VAEDecoder.mlmodelc", "ios17")


def test_what_a_mac_compiles_when_it_runs(package: Path, tmp_path: Path) -> None:
    """No metadata.json, and a name of its own."""
    compiled = compile_package(package, tmp_path / "3f2a", "ios16", metadata=False)
    assert load_network(compiled, precision="fp32").inputs["z"] == TensorSpec(
        (1, 4, 8, 8), np.dtype(np.float32)
    )


def test_what_its_author_says(compiled: Path) -> None:
    metadata = json.loads((compiled / "metadata.json").read_text())
    metadata[0] |= {"version": "somebody/tiny", "license": "free", "specificationVersion": "9"}
    (compiled / "metadata.json").write_text(json.dumps(metadata))
    model = open_compiled(compiled).model
    assert (model.version, model.licence, model.specification_version) == ("somebody/tiny", "free", 9)
    assert "com.github.apple.coremltools.version" in model.metadata


# As Apple's compiler spells programs that others have published together with what they compute.
_HEADER = 'program(1.3)\n[buildInfo = dict<string, string>({{"coremlc-version", "3600.25.1"}})]\n'
_WEIGHTED = (
    "func main<ios17>(tensor<fp32, [?]> input) [FlexibleShapeInformation = tuple<tuple<string, "
    'dict<string, tensor<int32, [?]>>>>((("DefaultShapes", {{"input", [4]}})))] {\n'
    "  tensor<fp32, [4]> constant = constexpr_affine_dequantize()[axis = int32(0), quantized_data = "
    'tensor<int8, [4]>(BLOBFILE(path = string("@model_path/weights/weights.bin"), offset = uint64(64))), '
    "scale = fp32(0x1p-1), zero_point = int8(-1)];\n"
    "  tensor<fp32, [4]> output = add(x = input, y = constant);\n} -> (output);\n"
)


def _weighted(folder: Path) -> Path:
    (folder / "weights").mkdir(parents=True)
    (folder / "model.mil").write_text(f"{_HEADER}{{\n{_WEIGHTED}}}")
    blob = struct.pack("<IIQQ40x", 0xDEADBEEF, 4, 4, 128) + np.array([-128, -1, 0, 127], np.int8).tobytes()
    (folder / "weights" / "weights.bin").write_bytes(struct.pack("<II56x", 1, 2) + blob)
    return folder


def test_a_size_left_open_is_the_default_one(tmp_path: Path) -> None:
    folder = _weighted(tmp_path / "a.mlmodelc")
    with pytest.raises(NetworkError, match="its 'input' has an unknown shape"):
        load_network(folder, precision="fp32")
    schema = [{"name": "input", "shape": "[4]", "dataType": "Float32", "type": "MultiArray"}]
    (folder / "metadata.json").write_text(json.dumps([{"inputSchema": schema, "outputSchema": []}]))
    network = load_network(folder, precision="fp32")
    result = network.predict({"input": np.ones(4, np.float32)})["output"]
    np.testing.assert_array_equal(result, [-62.5, 1, 1.5, 65])


def test_the_default_function(tmp_path: Path) -> None:
    folder = tmp_path / "a.mlmodelc"
    folder.mkdir()
    functions = "".join(
        f"func {name}<ios18>(fp32 x) {{ fp32 y = {operation}(x = x); }} -> (y);"
        for name, operation in [("first", "square"), ("second", "sqrt")]
    )
    (folder / "model.mil").write_text(f"{_HEADER}{{ {functions} }}")
    (folder / "metadata.json").write_text('[{"defaultFunctionName": "second"}]')
    two = {"x": np.array(4, np.float32)}
    assert load_network(folder, precision="fp32").predict(two)["y"] == 2
    assert load_network(folder, precision="fp32", function="first").predict(two)["y"] == 16


def _stage(folder: Path, operation: str, source: str, result: str) -> None:
    folder.mkdir(parents=True)
    text = f"func main<ios16>(tensor<fp32, [2]> {source}) {{ tensor<fp32, [2]> {result} = {operation}; }}"
    (folder / "model.mil").write_text(f"program(1.0) {{ {text} -> ({result}); }}")


def test_a_pipeline_of_two_is_chained(tmp_path: Path) -> None:
    """What Apple's converter makes of a chunked UNet when it merges the chunks."""
    pipeline = tmp_path / "Unet.mlmodelc"
    _stage(pipeline / "model0", "square(x = sample)", "sample", "hidden")
    _stage(pipeline / "model1", "add(x = hidden, y = fp32(0x1p+0))", "hidden", "noise_pred")
    (pipeline / "coremldata.bin").write_bytes(b"\0")
    result = load_network(pipeline, precision="fp32").predict({"sample": np.array([2, 3], np.float32)})
    np.testing.assert_array_equal(result["noise_pred"], [5, 10])
    text = (pipeline / "model1" / "model.mil").read_text()
    (pipeline / "model1" / "model.mil").write_text(text.replace("add(", "subtract_twice("))
    with pytest.raises(NetworkError, match=r"load Unet.mlmodelc, in its model1, .* operation subtract_twice"):
        load_network(pipeline, precision="fp32")
    _stage(pipeline / "model2", "square(x = noise_pred)", "noise_pred", "more")
    with pytest.raises(NetworkError, match=r"cannot load Unet.mlmodelc, it is a pipeline of 3 networks"):
        load_network(pipeline, precision="fp32")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_every_constant(tmp_path_factory.mktemp("small") / "a.mlpackage")


@pytest.mark.parametrize("spelling", sorted(set(SPELLINGS.values())))
def test_every_kind_of_constant(spelling: Spelling, small: Path, tmp_path: Path) -> None:
    compiled = compile_package(small, tmp_path / "a.mlmodelc", spelling)
    (name,) = load_network(small, precision="fp32").inputs
    inputs = {name: EVERY_CONSTANT_INPUT}
    assert _predicted(compiled, inputs) == _predicted(small, inputs)


def _neural_network(folder: Path) -> None:
    (folder / "model.mil").rename(folder / "model.espresso.net")


def _no_program(folder: Path) -> None:
    (folder / "model.mil").unlink()


def _no_weights(folder: Path) -> None:
    shutil.rmtree(folder / "weights")


def _pointer(folder: Path) -> None:
    """What the Hub's repositories hold where nobody fetched the file itself."""
    (folder / "model.mil").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def _binary(folder: Path) -> None:
    (folder / "model.mil").write_bytes(b"program(1.0)\xff\xfe")


def _elsewhere(folder: Path) -> None:
    text = (folder / "model.mil").read_text().replace("@model_path/weights", "@model_path/../weights")
    (folder / "model.mil").write_text(text)


def _state(folder: Path) -> None:
    text = (folder / "model.mil").read_text().replace("(tensor", "(state<tensor<fp16, [1]>> k, tensor", 1)
    (folder / "model.mil").write_text(text)


def _unknown_operation(folder: Path) -> None:
    text = (folder / "model.mil").read_text().replace("= conv(", "= conv_of_tomorrow(")
    (folder / "model.mil").write_text(text)


def _broken_metadata(folder: Path) -> None:
    (folder / "metadata.json").write_text("[{}, {}]")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_neural_network, r"another kind \(neuralNetwork\)"),
        (_no_program, "model.mil is missing"),
        (_no_weights, "weight.bin is missing"),
        (_pointer, "line 1 of its program has 'version' where program belongs"),
        (_binary, "model.mil is not UTF-8 text"),
        (_elsewhere, "it points outside its own folder"),
        (_state, "its 'k' has the unsupported type state"),
        (_unknown_operation, "needs the operation conv_of_tomorrow, which is not supported"),
        (_broken_metadata, "metadata.json does not describe a network"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(
    damage: Callable[[Path], None], why: str, compiled: Path
) -> None:
    damage(compiled)
    with pytest.raises(NetworkError, match=f"cannot load VAEDecoder.mlmodelc, .*{why}") as caught:
        load_network(compiled, precision="fp32")
    assert "\n" not in str(caught.value)


def test_a_path_to_nothing(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="does not exist"):
        load_network(tmp_path / "no.mlmodelc", precision="fp32")
