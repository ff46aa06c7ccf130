"""The package reader, against coremltools' own parse; and what it says about broken packages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.proto import Model_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from sdtui.runtime import NetworkError, TensorSpec, load_network
from sdtui.runtime.portable.package import open_package
from sdtui.runtime.portable.program import Blob, Model, Value
from sdtui.runtime.portable.specification import read_model
from sdtui.runtime.portable.wire import MalformedError
from tests.runtime.networks import Sample, merge_halves, psnr


@pytest.fixture(scope="module")
def package(converted: Callable[..., Path]) -> Path:
    return converted("vae_decoder", "fp16", "macOS14")


@dataclass(frozen=True, repr=False)
class _File:
    """Bytes too many to print when a test fails."""

    content: bytes


@pytest.fixture(scope="module")
def model_file(package: Path) -> _File:
    return _File(next(package.rglob("model.mlmodel")).read_bytes())


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    """A package that a test may damage."""
    path = tmp_path / "VAEDecoder.mlpackage"
    shutil.copytree(package, path)
    return path


def test_the_program_is_what_coremltools_reads(package: Path, model_file: _File) -> None:
    theirs = Model_pb2.Model.FromString(model_file.content)
    ours = open_package(package).model
    assert ours.specification_version == theirs.specificationVersion
    assert ours.metadata == dict(theirs.description.metadata.userDefined)
    function = theirs.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    assert ours.function.outputs == tuple(block.outputs)
    assert len(ours.function.operations) == len(block.operations)
    for our, their in zip(ours.function.operations, block.operations, strict=True):
        assert our.type == their.type
        assert [output.name for output in our.outputs] == [output.name for output in their.outputs]
        for our_output, their_output in zip(our.outputs, their.outputs, strict=True):
            dimensions = their_output.type.tensorType.dimensions
            assert our_output.type.shape == tuple(size.constant.size for size in dimensions)
        assert set(our.inputs) == set(their.inputs) | set(their.attributes) - {"name"}
        for name, argument in their.inputs.items():
            assert our.inputs[name] == tuple(binding.name for binding in argument.arguments)
        for name, attribute in their.attributes.items():
            if name != "name":
                _assert_same_constant(our.inputs[name][0], attribute)


def _assert_same_constant(ours: str | Value, theirs: Any) -> None:
    assert isinstance(ours, Value)
    if theirs.HasField("blobFileValue"):
        assert ours.data == Blob(theirs.blobFileValue.fileName, theirs.blobFileValue.offset)
        return
    tensor = theirs.immediateValue.tensor
    field = tensor.WhichOneof("value")
    values = getattr(tensor, field).values
    if field == "strings":
        assert ours.data == values[0]
    elif field == "bytes":
        assert isinstance(ours.data, np.ndarray)
        assert ours.data.tobytes() == values
    else:
        assert isinstance(ours.data, np.ndarray)
        assert ours.data.ravel().tolist() == list(values)


def test_inputs_outputs_and_the_weight_of_the_weights(package: Path) -> None:
    network = load_network(package, precision="fp32")
    assert network.inputs == {"z": TensorSpec((1, 4, 8, 8), np.dtype(np.float32))}
    assert network.outputs == {"image": TensorSpec((1, 3, 16, 16), np.dtype(np.float32))}
    assert network.weight_bytes == next(package.rglob("weight.bin")).stat().st_size
    assert network.runtime == "portable fp32"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_model_cut_anywhere_is_malformed_or_whole(model_file: _File, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(model_file.content) - 1))
    try:
        model = read_model(model_file.content[:size])
    except MalformedError:
        return
    assert model.function.outputs == ("image",)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_byte_never_escapes_as_another_error(model_file: _File, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(model_file.content) - 1))
    flipped = bytearray(model_file.content)
    flipped[place] ^= data.draw(st.integers(1, 255))
    try:
        model = read_model(bytes(flipped))
    except MalformedError:
        return
    assert isinstance(model, Model)


@contextmanager
def _refused(why: str) -> Iterator[None]:
    with pytest.raises(NetworkError, match=why) as caught:
        yield
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_to_nothing(tmp_path: Path) -> None:
    with _refused("does not exist"):
        load_network(tmp_path / "no.mlpackage", precision="fp32")


def test_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.mlpackage").write_text("hello")
    with _refused("it is not an .mlpackage"):
        load_network(tmp_path / "a.mlpackage", precision="fp32")
    with _refused("it is not an .mlpackage"):
        load_network(tmp_path, precision="fp32")


def test_a_compiled_network_where_only_a_package_will_do(tmp_path: Path) -> None:
    (tmp_path / "Unet.mlmodelc").mkdir()
    with _refused("it is compiled, use the .mlpackage"):
        open_package(tmp_path / "Unet.mlmodelc")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("model.mlmodel", "model.mlmodel is missing"),
        ("weight.bin", "weight.bin is missing"),
        ("Manifest.json", "it is not an .mlpackage"),
    ],
)
def test_a_missing_file(name: str, why: str, copy: Path) -> None:
    next(copy.rglob(name)).unlink()
    with _refused(why):
        load_network(copy, precision="fp32")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("model.mlmodel", "it ends inside"),
        ("weight.bin", "weight.bin ends at byte|too few for a blob"),
        ("Manifest.json", "names no model"),
    ],
)
def test_a_truncated_file(name: str, why: str, copy: Path) -> None:
    file = next(copy.rglob(name))
    file.write_bytes(file.read_bytes()[:-300])
    with _refused(why):
        load_network(copy, precision="fp32")


def test_an_empty_weight_file(copy: Path) -> None:
    next(copy.rglob("weight.bin")).write_bytes(b"")
    with _refused("has 0 bytes"):
        load_network(copy, precision="fp32")


def test_weights_may_be_linked(copy: Path, tmp_path: Path) -> None:
    """The cache of the Hub links its files, and resolutions of one model may share their weights."""
    weights = next(copy.rglob("weight.bin"))
    weights.rename(tmp_path / "blob")
    weights.symlink_to(tmp_path / "blob")
    assert load_network(copy, precision="fp32").weight_bytes == (tmp_path / "blob").stat().st_size


def test_a_manifest_that_points_outside(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    manifest = json.loads((copy / "Manifest.json").read_text())
    for entry in manifest["itemInfoEntries"].values():
        entry["path"] = "../../secret"
    (copy / "Manifest.json").write_text(json.dumps(manifest))
    with _refused("outside its own folder"):
        load_network(copy, precision="fp32")


Edit = Callable[[Any], None]


def _edited(package: Path, edit: Edit) -> Path:
    """Change the model file through coremltools' classes."""
    file = next(package.rglob("model.mlmodel"))
    model = Model_pb2.Model.FromString(file.read_bytes())
    edit(model)
    file.write_bytes(model.SerializeToString())
    return package


def _operations(model: Any) -> Any:
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def _first(model: Any, kind: str) -> Any:
    return next(operation for operation in _operations(model) if operation.type == kind)


def _blob(model: Any) -> Any:
    return next(
        operation.attributes["val"].blobFileValue
        for operation in _operations(model)
        if operation.attributes["val"].HasField("blobFileValue")
    )


def _unknown_operation(model: Any) -> None:
    _first(model, "conv").type = "conv_of_tomorrow"


def _unknown_input(model: Any) -> None:
    _first(model, "conv").inputs["surprise"].CopyFrom(_first(model, "conv").inputs["x"])


def _endless_name(model: Any) -> None:
    _first(model, "conv").type = "a\nb" * 1000


def _lost_input(model: Any) -> None:
    del _first(model, "conv").inputs["weight"]


def _dangling_name(model: Any) -> None:
    _first(model, "conv").inputs["x"].arguments[0].name = "nobody"


def _weight_elsewhere(model: Any) -> None:
    _blob(model).fileName = "@model_path/../../../weights/weight.bin"


def _endless_file_name(model: Any) -> None:
    _blob(model).fileName = "@model_path/" + "weights" * 1000


def _offset_out_of_range(model: Any) -> None:
    _blob(model).offset = 1 << 60


def _huge_constant(model: Any) -> None:
    for operation in _operations(model):
        if operation.attributes["val"].HasField("blobFileValue"):
            operation.attributes["val"].type.tensorType.dimensions[0].constant.size = 1 << 39
            return


def _circle(model: Any) -> None:
    constant = _first(model, "const")
    constant.attributes["val"].Clear()
    del constant.attributes["val"]
    constant.inputs["val"].arguments.add().name = constant.outputs[0].name


def _no_program(model: Any) -> None:
    model.neuralNetwork.SetInParent()


def _unknown_output(model: Any) -> None:
    model.description.output[0].name = "picture"


def _lost_output(model: Any) -> None:
    function = model.mlProgram.functions["main"]
    del function.block_specializations[function.opset].outputs[:]


def _other_input(model: Any) -> None:
    model.description.input[0].name = "y"
    model.description.output[0].name = "z"


def _hidden_input(model: Any) -> None:
    model.mlProgram.functions["main"].inputs.add().CopyFrom(model.mlProgram.functions["main"].inputs[0])
    model.mlProgram.functions["main"].inputs[1].name = "y"


def _image_input(model: Any) -> None:
    model.description.input[0].type.imageType.width = 8


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (_unknown_operation, "needs the operation conv_of_tomorrow, which is not supported"),
        (_endless_name, r"needs the operation a.ba.b.{150,200}\.\.\."),
        (_unknown_input, "has an unknown input surprise"),
        (_lost_input, "lacks its input weight"),
        (_dangling_name, "nothing computes nobody"),
        (_weight_elsewhere, "outside its own folder"),
        (_endless_file_name, "it names a file that cannot be"),
        (_offset_out_of_range, "too few for a blob"),
        (_huge_constant, "a constant of .* fp16 has"),
        (_circle, "depends on what is not known yet"),
        (_no_program, r"another kind \(neuralNetwork\)"),
        (_unknown_output, "its program has no 'picture'"),
        (_lost_output, "its program has no 'image'"),
        (_other_input, "its program has no 'y'"),
        (_hidden_input, "its description has no 'y'"),
        (_image_input, "its 'z' is not an array"),
    ],
)
def test_a_program_that_lies(edit: Edit, why: str, copy: Path) -> None:
    with _refused(f"VAEDecoder.mlpackage, .*{why}"):
        load_network(_edited(copy, edit), precision="fp32")


# ---- pipelines -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline(converted: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network cut in two by coremltools, and the halves merged in one package."""
    return merge_halves(converted("vae_decoder", "fp16", "macOS14"), tmp_path_factory.mktemp("pipeline"))


def test_a_pipeline_is_the_whole_network(
    pipeline: Path, package: Path, sample: Callable[[str], Sample]
) -> None:
    merged, whole = (load_network(path, precision="fp32") for path in (pipeline, package))
    assert (merged.inputs, merged.outputs) == (whole.inputs, whole.outputs)
    assert merged.weight_bytes == sum(file.stat().st_size for file in pipeline.rglob("*weight.bin"))
    inputs = sample("vae_decoder").inputs
    assert psnr(whole.predict(inputs)["image"], merged.predict(inputs)["image"]) >= 60, "cut in fp16"


def test_a_pipeline_names_the_stage_that_is_broken(pipeline: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(pipeline, tmp_path / "Unet.mlpackage")
    next(broken.rglob("1-weight.bin")).unlink()
    with _refused(r"cannot load Unet\.mlpackage, in its model1, 1-weight\.bin is missing"):
        load_network(broken, precision="fp32")


@pytest.mark.parametrize("count", [1, 3])
def test_a_pipeline_of_another_length(count: int, pipeline: Path, tmp_path: Path) -> None:
    other = shutil.copytree(pipeline, tmp_path / "Unet.mlpackage")

    def lengthen(model: Any) -> None:
        first = type(model).FromString(model.pipeline.models[0].SerializeToString())
        del model.pipeline.models[:]
        model.pipeline.models.extend([first] * count)

    with _refused(f"it is a pipeline of {count} networks, not of 2"):
        load_network(_edited(other, lengthen), precision="fp32")
