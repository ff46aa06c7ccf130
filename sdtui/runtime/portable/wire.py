"""The protocol buffer wire format, read by tables of fields.

Format: https://protobuf.dev/programming-guides/encoding. Only what Core ML's messages use is here:
no groups, no extensions. A decoded message is a dictionary of the fields that were present.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Message = dict[str, Any]
Scalar = Literal["int", "uint", "bool", "float", "double", "string", "bytes"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {"int": _VARINT, "uint": _VARINT, "bool": _VARINT, "float": _FIXED32, "double": _FIXED64}
_MAX_DEPTH = 64


class MalformedError(Exception):
    """A file that does not follow its format. The text says what is wrong, as a short phrase."""

    def __init__(self, why: str, remedy: str = "get the model again, or convert it again") -> None:
        super().__init__(why)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Field:
    """How to read one field: ``kind`` is a scalar, or the name of a message of the schema.

    A ``map`` field has string keys, and values of ``kind``.
    """

    name: str
    kind: str
    repeated: bool = False
    map: bool = False


Schema = Mapping[str, Mapping[int, Field]]


def decode(schema: Schema, message: str, data: bytes) -> Message:
    """Read ``data`` as ``message``. Unknown fields are skipped.

    Raises :class:`MalformedError` for anything but well-formed bytes.
    """
    return _message(schema, message, data, 0, len(data), 0)


def _message(schema: Schema, name: str, data: bytes, position: int, end: int, depth: int) -> Message:
    if depth > _MAX_DEPTH:
        raise MalformedError("its messages are nested too deeply")
    fields = schema[name]
    decoded: Message = {}
    while position < end:
        tag, position = _varint(data, position, end)
        wire_type = tag & 7
        if wire_type == _LENGTH:
            length, start = _varint(data, position, end)
            position = start + length
            if position > end:
                raise MalformedError(f"it ends inside a {name} message")
        elif wire_type == _VARINT:
            start = position
            _, position = _varint(data, position, end)
        elif wire_type in (_FIXED32, _FIXED64):
            start = position
            position += 4 if wire_type == _FIXED32 else 8
            if position > end:
                raise MalformedError(f"it ends inside a {name} message")
        else:
            raise MalformedError(f"byte {position} holds an unknown wire type")
        field = fields.get(tag >> 3)
        if field is not None:
            _store(schema, decoded, field, wire_type, data, start, position, depth)
    return decoded


def _store(
    schema: Schema,
    decoded: Message,
    field: Field,
    wire_type: int,
    data: bytes,
    start: int,
    end: int,
    depth: int,
) -> None:
    kind = field.kind
    scalar_type = _WIRE_TYPES.get(kind)
    if scalar_type is not None:
        if wire_type == scalar_type:
            values = [_number(kind, data, start, end)]
        elif wire_type == _LENGTH and field.repeated:
            values = _packed(kind, data, start, end)
        else:
            raise MalformedError(f"the field {field.name} has the wrong wire type")
        if field.repeated:
            decoded.setdefault(field.name, []).extend(values)
        else:
            decoded[field.name] = values[0]
        return
    if wire_type != _LENGTH:
        raise MalformedError(f"the field {field.name} has the wrong wire type")
    if field.map:
        key, value = _entry(schema, kind, data, start, end, depth + 1)
        decoded.setdefault(field.name, {})[key] = value
        return
    single = _delimited(schema, kind, data, start, end, depth)
    if field.repeated:
        decoded.setdefault(field.name, []).append(single)
    else:
        decoded[field.name] = single


def _delimited(schema: Schema, kind: str, data: bytes, start: int, end: int, depth: int) -> Any:
    if kind == "string":
        try:
            return data[start:end].decode()
        except UnicodeDecodeError as error:
            raise MalformedError(f"the text at byte {start} is not UTF-8") from error
    if kind == "bytes":
        return data[start:end]
    return _message(schema, kind, data, start, end, depth + 1)


def _entry(schema: Schema, kind: str, data: bytes, position: int, end: int, depth: int) -> tuple[str, Any]:
    key, value = "", "" if kind == "string" else {}
    while position < end:
        tag, position = _varint(data, position, end)
        length, start = _varint(data, position, end)
        position = start + length
        if tag & 7 != _LENGTH or position > end:
            raise MalformedError("a map entry is broken")
        if tag >> 3 == 1:
            key = _delimited(schema, "string", data, start, position, depth)
        elif tag >> 3 == 2:
            value = _delimited(schema, kind, data, start, position, depth)
    return key, value


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    if position < end and data[position] < 0x80:
        return data[position], position + 1
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise MalformedError("it ends inside a number" if shift < 70 else "a number is too long")


def _number(kind: str, data: bytes, start: int, end: int) -> int | float | bool:
    if kind == "float":
        return float(struct.unpack_from("<f", data, start)[0])
    if kind == "double":
        return float(struct.unpack_from("<d", data, start)[0])
    value, _ = _varint(data, start, end)
    if kind == "bool":
        return value != 0
    # Negative int32 and int64 values are both stored as 64-bit two's complement.
    return value - (1 << 64) if kind == "int" and value >= 1 << 63 else value


def _packed(kind: str, data: bytes, position: int, end: int) -> list[Any]:
    if kind in ("float", "double"):
        width = 4 if kind == "float" else 8
        count, rest = divmod(end - position, width)
        if rest:
            raise MalformedError("a list of numbers ends inside a number")
        return list(struct.unpack_from(f"<{count}{'f' if kind == 'float' else 'd'}", data, position))
    values: list[Any] = []
    while position < end:
        start = position
        _, position = _varint(data, position, end)
        values.append(_number(kind, data, start, position))
    return values
