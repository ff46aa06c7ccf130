"""The reader of a compiled model's text: what it makes of every form, and that garbage cannot hurt it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.proto import Model_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from sdtui.runtime import Array
from sdtui.runtime.portable.mil_text import read_text
from sdtui.runtime.portable.program import Blob, Model, Operation, TensorType, Value
from sdtui.runtime.portable.specification import read_model
from sdtui.runtime.portable.wire import MalformedError
from tests.runtime.mil_text_writer import SPELLINGS, Spelling, mil_text

HEADER = 'program(1.3)\n[buildInfo = dict<string, string>({{"coremlc-version", "3600.25.1"}, {"", "\\""}})]\n'


def _program(*lines: str, outputs: str = "x", inputs: str = "tensor<fp32, [2]> x") -> str:
    body = "\n".join(lines)
    return f"{HEADER}{{\n func main<ios17>({inputs}) {{\n{body}\n }} -> ({outputs});\n}}"


def _operations(*lines: str) -> tuple[Operation, ...]:
    return read_text(_program(*lines)).function.operations


def _constant(text: str) -> Value:
    (operation,) = _operations(f"fp32 y = const()[val = {text}];")
    (value,) = operation.inputs["val"]
    assert isinstance(value, Value)
    return value


@pytest.mark.parametrize(
    ("text", "dtype", "data"),
    [
        ("int32(-3)", "<i4", -3),
        ("tensor<int32, []>(-3)", "<i4", -3),
        ("bool(true)", "?", True),
        ("tensor<bool, [2]>([true, false])", "?", [True, False]),
        ("fp16(0x1p-1)", "<f2", 0.5),
        ("fp16(-0x1.5p-17)", "<f2", -1.0013580322265625e-05),
        ("fp16(0x1p-24)", "<f2", 2.0**-24),
        ("fp32(0x1.4f8b58p-17)", "<f4", float.fromhex("0x1.4f8b58p-17")),
        ("fp32(1e-05)", "<f4", np.float32(1e-5)),
        ("fp32(.5)", "<f4", 0.5),
        ("tensor<fp16, [2]>([inf, -inf])", "<f2", [np.inf, -np.inf]),
        ("tensor<fp32, []>(-0x0p+0)", "<f4", 0.0),
        ("bf16(0x1.8p+3)", "<f4", 12.0),
        ("uint8(255)", "u1", 255),
        ("int8(-0x10)", "i1", -16),
        ("uint16(65535)", "<u2", 65535),
        ("uint64(18446744073709551615)", "<u8", 2**64 - 1),
        ("tensor<uint4, [2, 2]>([[0, 15], [7, 8]])", "u1", [[0, 15], [7, 8]]),
        ("tensor<uint1, [3]>([1, 0, 1])", "u1", [1, 0, 1]),
        ("tensor<int4, [2]>([-8, 7])", "i1", [-8, 7]),
        ("tensor<int32, [0]>([])", "<i4", []),
        ("tensor<int32, [2, 0]>([[], []])", "<i4", [[], []]),
        ("tensor<int32,[1,2,2]>([[[1,2],[3,4]]])", "<i4", [[[1, 2], [3, 4]]]),
    ],
)
def test_numbers_in_every_spelling(text: str, dtype: str, data: Any) -> None:
    read = _constant(text).data
    assert isinstance(read, np.ndarray)
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, np.array(data, dtype))


def test_a_number_that_is_none() -> None:
    read = _constant("tensor<fp32, [2]>([nan, -nan])").data
    assert isinstance(read, np.ndarray)
    assert np.isnan(read).all()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('string("fp16")', "fp16"),
        ('tensor<string, []>("")', ""),
        (r'string("a \"b\" \\ \n ] ); // c")', 'a "b" \\ \n ] ); // c'),
        ('tensor<string, [2]>(["a", "ü"])', ("a", "ü")),
        ('list<string, 2>("a", "b")', ("a", "b")),
        ('dict<string, tensor<int32, [?]>>({{"a", [1]}})', ()),
    ],
)
def test_texts_and_what_is_not_a_tensor(text: str, data: str | tuple[str, ...]) -> None:
    assert _constant(text).data == data


@pytest.mark.parametrize(
    "text",
    [
        'tensor<fp16, [8, 2]>(BLOBFILE(path = string("@model_path/weights/weight.bin"), '
        "offset = uint64(64)))",
        'tensor<fp16, [8, 2]>(BLOBFILE(path = tensor<string, []>("@model_path/weights/weight.bin"), '
        "offset = tensor<uint64, []>(64)))",
    ],
)
def test_a_weight_file(text: str) -> None:
    value = _constant(text)
    assert value.type == TensorType("fp16", (8, 2))
    assert value.data == Blob("@model_path/weights/weight.bin", 64)


def test_operations_of_every_form() -> None:
    split, sparse, write, concat = _operations(
        "tensor<fp16, [1]> a, tensor<fp16, [1]> b = split(x = x, axis = int32(0)) ; // two results",
        '(fp16 c, int32 d) = two(x = a)[name = string("n"), mode = string("m")]; /* or * so */',
        'write_state(data = a, input = b)[name = string("w")];',
        'tensor<fp32, [2]> e = concat(values = (a, fp32(0x1p+0), b), axis = (int32(0)))[name = string("e")];',
    )
    assert [output.name for output in split.outputs] == ["a", "b"]
    assert split.inputs["x"] == ("x",)
    assert [output.type.dtype for output in sparse.outputs] == ["fp16", "int32"]
    assert set(sparse.inputs) == {"x", "mode"}
    assert (write.outputs, write.type) == ((), "write_state")
    first, one, last = concat.inputs["values"]
    assert (first, last) == ("a", "b")
    assert isinstance(one, Value)
    assert len(concat.inputs["axis"]) == 1


def test_a_function_of_several() -> None:
    """As a compiler writes two functions for several sizes; their attributes do not matter here."""
    sizes = """[FlexibleShapeInformation = tuple<tuple<string, dict<string, tensor<int32, [?]>>>,
        tuple<string, dict<string, list<tensor<int32, [2]>, ?>>>>((("DefaultShapes", {{"x", [4]}}),
        ("RangeDims", {{"x", [[0, 4]]}})))]"""
    first = f"func first<ios18>(tensor<fp32, [?]> x) {sizes} {{ tensor<fp32, [?]> y = relu(x = x); }} -> (y);"
    second = "func second<ios16>(tensor<fp32, [2, ?]> x) { fp16 y = tanh(x = x); } -> (y, x);"
    text = f"program(1.0) {{ {first} {second} }}"
    model = read_text(text, "second")
    assert [feature.name for feature in model.outputs] == ["y", "x"]
    assert model.inputs[0].type == TensorType("fp32", (2, None))
    assert (model.specification_version, read_text(text, "first").specification_version) == (7, 9)
    with pytest.raises(MalformedError, match="no function main, only first, second"):
        read_text(text)
    assert read_text(f"program(1.0) {{ {second} }}").function.operations[0].type == "tanh"


_WRONG = {
    "": "ends in line 1, where program belongs",
    "hello": "line 1 of its program has 'hello' where program belongs",
    "program(1.0": "ends in line 1",
    "program(1.0) { } }": "has '}' where its end belongs",
    "program(1.0) { }": "no function main, only none",
    _program("fp32 y = relu(x = x)"): "has '}' where ; belongs",
    _program("fp32 y = relu(x = x, x = x);"): "two values for x",
    _program("fp32 y = relu(x = x);", outputs="z"): "nothing computes z",
    _program("fp32 y = cond(pred = x) { };"): "needs the operation cond, which is not supported",
    _program("fp99 y = relu(x = x);"): "a tensor has an unknown type",
    _program("tensor<fp32, [a]> y = relu(x = x);"): "has 'a' where a size belongs",
    _program("tensor<fp32, [99999999999999]> y = relu(x = x);"): "larger than any computer",
    _program(f"tensor<fp32, [{'1, ' * 17}]> y = relu(x = x);"): "has 17 dimensions",
    _program("fp32 y = const()[val = tensor<fp32, [2]>([0x1p+0])];"): "where a constant of 2 belongs",
    _program("fp32 y = const()[val = tensor<fp32, [2]>(1, 2)];"): r"has '1' where \[ belongs",
    _program("fp32 y = const()[val = tensor<fp32, [1]>([[1]])];"): "has .1. where , belongs",
    _program("fp32 y = const()[val = tensor<fp32, [2]>([1 2])];"): "has '2' where , belongs",
    _program("fp32 y = const()[val = tensor<fp32, [?]>([1])];"): "unknown shape",
    _program("fp32 y = const()[val = fp32(true)];"): "of type fp32 has a 'true'",
    _program("fp32 y = const()[val = bool(1)];"): "of type bool has a '1'",
    _program("fp32 y = const()[val = fp32(0x1p+99999)];"): "of type fp32 has a",
    _program("fp32 y = const()[val = int8(128)];"): "does not fit its type int8",
    _program("fp32 y = const()[val = uint8(-1)];"): "does not fit its type uint8",
    _program("fp32 y = const()[val = uint3(8)];"): "does not fit its type uint3",
    _program("fp32 y = const()[val = fp8e4m3fn(1)];"): "of type fp8e4m3fn has no value",
    _program(f"fp32 y = const()[val = int32({'9' * 5000})];"): "of type int32 has a '9+'",
    _program('fp32 y = const()[val = string("a)];'): "where a text belongs|ends in line",
    _program("fp32 y = const()[val = fp32(BLOBFILE(offset = uint64(4)))];"): "no place in a weight file",
    _program('fp32 y = const()[val = fp32(BLOBFILE(path = string("a"), offset = int64(-4)))];'): "no place",
    _program('fp32 y = const()[val = fp32(BLOBFILE(path = string("a"), offset = bool(true)))];'): "no place",
}


@pytest.mark.parametrize("text", _WRONG, ids=range(len(_WRONG)))
def test_what_is_wrong_is_said(text: str) -> None:
    with pytest.raises(MalformedError, match=_WRONG[text]) as caught:
        read_text(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


_HOSTILE = {
    "open brackets": "program" + "(" * 500_000,
    "open types": f"program(1) {{ func f<a>(list{'<' * 500_000}",
    "open lists": _program(f"fp32 y = const()[val = fp32({'[' * 500_000}"),
    "blobs in blobs": _program(f"fp32 y = const()[val = {'fp32(BLOBFILE(path = ' * 100_000}"),
    "quotes": "program" + '"\\' * 500_000,
    "comments": "program" + "/*" * 500_000,
    "spaces": "program" + " " * 1_000_000,
    "points": "program(" + "1." * 500_000 + "!",
    "names": "program(" + "a" * 1_000_000,
    "commas": _program(f"fp32 y = const()[val = tensor<fp32, [4]>([{',' * 500_000}"),
    "large shapes": _program("fp32 y = const()[val = tensor<fp32, [1099511627776, 1099511627776]>([[1]])];"),
}


@pytest.mark.parametrize("text", _HOSTILE.values(), ids=_HOSTILE)
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    """A reader that recursed or looked back would overflow its stack here, or take minutes."""
    started = time.perf_counter()
    with pytest.raises(MalformedError):
        read_text(text)
    assert time.perf_counter() - started < 10


_CONVERTED = [
    ("text_encoder", "fp32", "macOS13"),
    ("unet", "fp32", "macOS15"),
    ("unet", "fp16", "macOS14"),
    ("vae_encoder", "fp16", "macOS14"),
]


@pytest.mark.parametrize("spelling", sorted(set(SPELLINGS.values())))
@pytest.mark.parametrize(("name", "precision", "target"), _CONVERTED)
def test_the_text_says_what_the_package_says(
    name: str, precision: str, target: str, spelling: Spelling, converted: Callable[..., Path]
) -> None:
    content = next(converted(name, precision, target).rglob("model.mlmodel")).read_bytes()
    package = read_model(content)
    text = read_text(mil_text(Model_pb2.Model.FromString(content), spelling))
    assert text.specification_version == package.specification_version
    assert text.outputs == package.outputs
    assert text.function.outputs == package.function.outputs
    assert len(text.function.operations) == len(package.function.operations) > 50
    for ours, theirs in zip(text.function.operations, package.function.operations, strict=True):
        assert (ours.type, ours.outputs, ours.inputs.keys()) == (
            theirs.type,
            theirs.outputs,
            theirs.inputs.keys(),
        )
        for key, argument in theirs.inputs.items():
            assert len(ours.inputs[key]) == len(argument)
            for one, other in zip(ours.inputs[key], argument, strict=True):
                _assert_same(one, other)


def _assert_same(one: str | Value, other: str | Value) -> None:
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert one.type == other.type
    if isinstance(other.data, np.ndarray):
        assert isinstance(one.data, np.ndarray)
        assert (one.data.dtype, one.data.shape) == (other.data.dtype, other.data.shape)
        assert _bytes(one.data) == _bytes(other.data)
    else:
        assert one.data == other.data


def _bytes(array: Array) -> bytes:
    return array.tobytes()


@pytest.fixture(scope="module")
def texts(converted: Callable[..., Path]) -> list[str]:
    """The beginning and the end of a real program, in two spellings."""
    content = next(converted("vae_decoder", "fp16", "macOS14").rglob("model.mlmodel")).read_bytes()
    model = Model_pb2.Model.FromString(content)
    return [mil_text(model, "ios16"), mil_text(model, "ios17")]


_FRAGMENTS = st.sampled_from(
    [
        *(
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "<",
            ">",
            ",",
            ";",
            "=",
            "->",
            '"',
            "\\",
            "/*",
            "?",
            "-",
            "0x",
            "1",
            "é",
        ),
        *("fp16", "tensor", "list", "BLOBFILE", "nan", "9" * 20, "\0", "(" * 50, "const()", "func"),
    ]
)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_mutated_program_is_refused_or_read(texts: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(texts))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        text = text[:start] + data.draw(_FRAGMENTS) + text[start + data.draw(st.integers(0, 40)) :]
    if data.draw(st.booleans()):
        text = text[: data.draw(st.integers(0, len(text)))]
    try:
        model = read_text(text)
    except MalformedError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(model, Model)


@given(st.text(alphabet='()[]{}<>,;=->"\\/*? 01x.fpint_', max_size=200))
def test_noise_is_refused(noise: str) -> None:
    with pytest.raises(MalformedError):
        read_text(f"program(1.0) {{ func main<ios16>(fp32 x) {{ fp32 y = {noise}")
