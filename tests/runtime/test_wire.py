"""The wire decoder, against Google's own."""

from __future__ import annotations

import struct

import pytest
from coremltools.proto import FeatureTypes_pb2, MIL_pb2, Model_pb2
from hypothesis import given
from hypothesis import strategies as st

from sdtui.runtime.portable.schema import ARRAY_DTYPES, MIL_DTYPES, SCHEMA
from sdtui.runtime.portable.wire import MalformedError, decode

_FLOATS = st.floats(width=32, allow_nan=False)
_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)

_DESCRIPTORS = {
    name: file.message_types_by_name[name]
    for file in (Model_pb2.DESCRIPTOR, MIL_pb2.DESCRIPTOR, FeatureTypes_pb2.DESCRIPTOR)
    for name in file.message_types_by_name
} | {
    "Pipelined": Model_pb2.Model.DESCRIPTOR,
    "Binding": MIL_pb2.Argument.Binding.DESCRIPTOR,
    "ConstantDimension": MIL_pb2.Dimension.ConstantDimension.DESCRIPTOR,
    "ImmediateValue": MIL_pb2.Value.ImmediateValue.DESCRIPTOR,
    "BlobFileValue": MIL_pb2.Value.BlobFileValue.DESCRIPTOR,
    "Floats": MIL_pb2.TensorValue.RepeatedFloats.DESCRIPTOR,
    "Ints": MIL_pb2.TensorValue.RepeatedInts.DESCRIPTOR,
    "Bools": MIL_pb2.TensorValue.RepeatedBools.DESCRIPTOR,
    "Strings": MIL_pb2.TensorValue.RepeatedStrings.DESCRIPTOR,
    "Doubles": MIL_pb2.TensorValue.RepeatedDoubles.DESCRIPTOR,
    "Bytes": MIL_pb2.TensorValue.RepeatedBytes.DESCRIPTOR,
}
_SCALARS = {
    "double": {1},
    "float": {2},
    "int": {3, 5},  # int64, int32
    "uint": {4, 13, 14},  # uint64, uint32, enum
    "bool": {8},
    "string": {9},
    "bytes": {11, 12},  # a message may be kept as it is
}


@pytest.mark.parametrize("message", [name for name in SCHEMA if name != "Opaque"])
def test_the_field_numbers_are_those_of_the_specification(message: str) -> None:
    for number, ours in SCHEMA[message].items():
        theirs = _DESCRIPTORS[message].fields_by_number[number]
        assert theirs.name == ours.name
        assert theirs.is_repeated == (ours.repeated or ours.map)
        if ours.map:
            theirs = theirs.message_type.fields_by_name["value"]
        if ours.kind in _SCALARS:
            assert theirs.type in _SCALARS[ours.kind]
        elif ours.kind not in ("Opaque", "Ints"):
            assert theirs.message_type.full_name == _DESCRIPTORS[ours.kind].full_name


def test_the_type_codes_are_those_of_the_specification() -> None:
    names = {number: name for name, number in MIL_pb2.DataType.items()}
    long = {"fp": "FLOAT", "bf": "BFLOAT"}
    for number, ours in MIL_DTYPES.items():
        prefix = long.get(ours[:2])
        assert names[number] == (prefix + ours[2:].upper() if prefix else ours.upper())
    assert set(names) - set(MIL_DTYPES) == {0}
    arrays = FeatureTypes_pb2.ArrayFeatureType.ArrayDataType.items()
    spelled = {"FLOAT16": "fp16", "FLOAT32": "fp32", "DOUBLE": "fp64", "INT32": "int32", "INT8": "int8"}
    assert {number: spelled[name] for name, number in arrays if number} == ARRAY_DTYPES


@given(
    floats=st.lists(_FLOATS),
    doubles=st.lists(st.floats(allow_nan=False)),
    ints=st.lists(_INT32),
    longs=st.lists(_INT64),
    bools=st.lists(st.booleans()),
    strings=st.lists(st.text(max_size=9)),
    raw=st.binary(),
)
def test_numbers_and_texts_survive(
    floats: list[float],
    doubles: list[float],
    ints: list[int],
    longs: list[int],
    bools: list[bool],
    strings: list[str],
    raw: bytes,
) -> None:
    for field, values in {
        "floats": floats,
        "doubles": doubles,
        "ints": ints,
        "longInts": longs,
        "bools": bools,
        "strings": strings,
    }.items():
        message = MIL_pb2.TensorValue()
        getattr(message, field).values.extend(values)
        decoded = decode(SCHEMA, "TensorValue", message.SerializeToString())
        assert decoded.get(field, {}).get("values", []) == values
    message = MIL_pb2.TensorValue()
    message.bytes.values = raw
    assert decode(SCHEMA, "TensorValue", message.SerializeToString())["bytes"].get("values", b"") == raw


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.integers(0, 2**31 - 1))
def test_maps_and_nested_messages_survive(texts: dict[str, str], version: int) -> None:
    model = Model_pb2.Model()
    model.specificationVersion = version
    model.description.metadata.userDefined.update(texts)
    model.description.metadata.author = "someone"
    model.isUpdatable = True  # a field that we skip
    decoded = decode(SCHEMA, "Model", model.SerializeToString())
    assert decoded.get("specificationVersion", 0) == version
    assert decoded["description"]["metadata"].get("userDefined", {}) == texts


def test_numbers_may_come_one_by_one() -> None:
    unpacked = b"".join(b"\x0d" + struct.pack("<f", number) for number in (1.5, -2.0))
    assert decode(SCHEMA, "Floats", unpacked) == {"values": [1.5, -2.0]}


@given(st.binary(max_size=200), st.sampled_from(sorted(SCHEMA)))
def test_any_bytes_are_a_message_or_malformed(data: bytes, message: str) -> None:
    try:
        decoded = decode(SCHEMA, message, data)
    except MalformedError:
        return
    assert decoded.keys() <= {field.name for field in SCHEMA[message].values()}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x08", "ends inside a number"),
        (b"\x08" + b"\xff" * 11, "too long"),
        (b"\x12\x7f", "ends inside a Model message"),
        (b"\x0b", "unknown wire type"),
        (b"\x0a\x00", "wrong wire type"),
        (b"\x92\x1f\xff\xff\xff\xff\x0f", "ends inside a Model message"),
    ],
)
def test_broken_bytes_say_what_is_wrong(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        decode(SCHEMA, "Model", data)


def test_nesting_without_end_is_refused() -> None:
    data = b""
    for _ in range(3000):
        # Value{immediateValue{list{values{...}}}}
        for tag in (b"\x0a", b"\x1a", b"\x1a"):
            data = tag + _varint(len(data)) + data
    with pytest.raises(MalformedError, match="nested too deeply"):
        decode(SCHEMA, "Value", data)


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])
