"""Ways to damage the content of a file. Each takes a source of chance and the bytes, and gives new bytes."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Edit = Callable[[Random, bytes], bytes]

LARGE = (0, 1, 2, 255, 1 << 15, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
DEPTHS = (8, 70, 1000, 30_000)
_LEAF = 0.85
"""How often an edit goes on into what a message or an object holds, rather than change the whole."""


def _range(random: Random, content: bytes) -> tuple[int, int]:
    """A piece of ``content``, most often a short one."""
    start = random.randint(0, len(content))
    return start, min(len(content), start + int(2 ** random.uniform(0, 14)))


def flip_bits(random: Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8)) if damaged else 0):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def truncate(random: Random, content: bytes) -> bytes:
    return content[: random.randint(0, len(content))]


def zero(random: Random, content: bytes) -> bytes:
    start, end = _range(random, content)
    return content[:start] + bytes(end - start) + content[end:]


def overwrite(random: Random, content: bytes) -> bytes:
    start, end = _range(random, content)
    return content[:start] + random.randbytes(end - start) + content[end:]


def repeat(random: Random, content: bytes) -> bytes:
    start, end = _range(random, content)
    return content[:end] + content[start:end] * random.choice((1, 1, 3)) + content[end:]


def delete(random: Random, content: bytes) -> bytes:
    start, end = _range(random, content)
    return content[:start] + content[end:]


# ---- messages of a protocol buffer, whose lengths stay right on the way to what is damaged ----

Field = tuple[int, bytes]
"""A tag, and the bytes of its value as they are stored, without the length of those that have one."""


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*groups, number))


def _stored(field: Field, length: int | None = None) -> bytes:
    tag, value = field
    if tag & 7 != 2:
        return _varint(tag) + value
    return _varint(tag) + _varint(len(value) if length is None else length) + value


def _fields(content: bytes) -> list[Field]:
    """The fields of a message; none where these bytes are no message."""
    fields: list[Field] = []
    position = 0
    try:
        while position < len(content):
            tag, position = _read_varint(content, position)
            match tag & 7:
                case 0:
                    _, end = _read_varint(content, position)
                case 2:
                    length, position = _read_varint(content, position)
                    end = position + length
                case 1 | 5:
                    end = position + (8 if tag & 7 == 1 else 4)
                case _:
                    return []
            if end > len(content) or tag < 8:
                return []
            fields.append((tag, content[position:end]))
            position = end
    except IndexError:
        return []
    return fields


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while content[position] & 0x80:
        value |= (content[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | content[position] << shift, position + 1


FieldEdit = Callable[[Random, list[Field], int], list[bytes]]
"""The fields of a message, and which of them to damage, to the stored fields."""


def in_message(edit: FieldEdit) -> Edit:
    """The ``edit`` of one field, at any depth of a message; a large one is the likelier."""

    def edited(random: Random, content: bytes) -> bytes:
        fields = _fields(content)
        if not fields:
            return content
        place = random.choices(range(len(fields)), [len(value) for _, value in fields])[0]
        tag, value = fields[place]
        if tag & 7 == 2 and random.random() < _LEAF and _fields(value):
            fields[place] = tag, edited(random, value)
            return b"".join(map(_stored, fields))
        return b"".join(edit(random, fields, place))

    return edited


def _lose_field(_random: Random, fields: list[Field], place: int) -> list[bytes]:
    return [_stored(field) for index, field in enumerate(fields) if index != place]


def _repeat_field(random: Random, fields: list[Field], place: int) -> list[bytes]:
    fields[random.randint(0, len(fields)) : 0] = [fields[place]] * random.choice((1, 1, 40))
    return list(map(_stored, fields))


def _exchange_fields(random: Random, fields: list[Field], place: int) -> list[bytes]:
    other = random.randrange(len(fields))
    fields[place], fields[other] = fields[other], fields[place]
    return list(map(_stored, fields))


def _lie_about_length(random: Random, fields: list[Field], place: int) -> list[bytes]:
    stored = list(map(_stored, fields))
    lie = random.choice((*LARGE, len(fields[place][1]) + random.randint(-3, 3)))
    stored[place] = _stored((fields[place][0] & ~7 | 2, fields[place][1]), max(0, lie))
    return stored


def _large_number(random: Random, fields: list[Field], place: int) -> list[bytes]:
    numbers = [index for index, (tag, _) in enumerate(fields) if tag & 7 == 0] or [place]
    place = random.choice(numbers)
    tag = fields[place][0] & ~7
    fields[place] = tag, _varint(random.choice(LARGE))
    return list(map(_stored, fields))


def _nest(random: Random, fields: list[Field], place: int) -> list[bytes]:
    """The field in itself, again and again; the length of each level is that of what it holds."""
    tag, value = fields[place][0] & ~7 | 2, fields[place][1]
    for _ in range(random.choice(DEPTHS[:3])):
        value = _stored((tag, value))
    fields[place] = tag, value
    return list(map(_stored, fields))


# ---- the text of a program ----------------------------------------------------------------

_TOKEN = re.compile(r"\s+|[\w.+-]+|.", re.DOTALL)
_WORDS = (
    "?",
    "->",
    '"',
    "\\",
    "/*",
    "//",
    "nan",
    "-1",
    "0x",
    "tensor",
    "list",
    "state",
    "BLOBFILE",
    "é",
    "\0",
)


def in_text(edit: Callable[[Random, list[str], int], None]) -> Edit:
    """The ``edit`` of the tokens of a text, at one of them that is not space."""

    def edited(random: Random, content: bytes) -> bytes:
        tokens = _TOKEN.findall(content.decode())
        edit(random, tokens, random.choice([i for i, token in enumerate(tokens) if not token.isspace()]))
        return "".join(tokens).encode()

    return edited


def _lose_tokens(random: Random, tokens: list[str], place: int) -> None:
    del tokens[place : place + random.choice((1, 1, 2, 10))]


def _repeat_tokens(random: Random, tokens: list[str], place: int) -> None:
    piece = tokens[place : place + random.choice((1, 2, 40))]
    tokens[place:place] = piece * random.choice((1, 1, 300))


def _exchange_tokens(random: Random, tokens: list[str], place: int) -> None:
    other = random.randrange(len(tokens))
    tokens[place], tokens[other] = tokens[other], tokens[place]


def _other_token(random: Random, tokens: list[str], place: int) -> None:
    tokens[place] = random.choice((*_WORDS, random.choice(tokens)))


def _large_size(random: Random, tokens: list[str], place: int) -> None:
    numbers = [index for index, token in enumerate(tokens) if token[0].isdigit()] or [place]
    tokens[random.choice(numbers)] = random.choice((*map(str, LARGE), "-1", "9" * 5000))


def _nest_brackets(random: Random, tokens: list[str], place: int) -> None:
    depth = random.choice(DEPTHS)
    opening, closing = random.choice(("()", "[]", "{}", "<>"))
    tokens[place] = opening * depth + tokens[place] + closing * random.choice((depth, 0))


# ---- JSON ---------------------------------------------------------------------------------


def in_json(edit: Callable[[Random, Any], Any]) -> Edit:
    """The ``edit`` of one value, at any depth of a document."""

    def edited(random: Random, content: bytes) -> bytes:
        return json.dumps(_within(random, json.loads(content), edit)).encode()

    return edited


def _within(random: Random, value: Any, edit: Callable[[Random, Any], Any]) -> Any:
    if isinstance(value, dict | list) and value and random.random() < _LEAF:
        key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value[key] = _within(random, value[key], edit)
        return value
    return edit(random, value)


def _other_value(random: Random, value: Any) -> Any:
    plain = None, True, -1, 1e300, 10**400, "", "\0", "../..", "/etc/passwd", "x" * 100_000
    return random.choice((*plain, "[99999999999999]", "[-1]", "[1e9, 1e9]", [], {}, [value], {"name": value}))


def _nested_value(random: Random, value: Any) -> Any:
    for _ in range(random.choice(DEPTHS[:2])):
        value = [value]
    return value


def deep_json(random: Random, _content: bytes) -> bytes:
    opening = random.choice((b"[", b'{"a":'))
    return opening * random.choice(DEPTHS) + random.choice((b"", b"1"))


# ---- weight.bin -----------------------------------------------------------------------------

_SENTINEL = struct.pack("<I", 0xDEADBEEF)


def lie_about_blob(random: Random, content: bytes) -> bytes:
    """Change the type, the size or the place that the metadata of one blob gives."""
    blobs = [each for each in range(0, len(content), 64) if content.startswith(_SENTINEL, each)]
    if not blobs:
        return content
    start, form = random.choice(blobs), random.choice(((4, "<I"), (8, "<Q"), (16, "<Q")))
    place = start + form[0]
    (stored,) = struct.unpack_from(form[1], content, place)
    width = struct.calcsize(form[1])
    number = random.choice((*LARGE, stored + random.randint(-65, 65), len(content))) % (1 << 8 * width)
    return content[:place] + struct.pack(form[1], number) + content[place + width :]


CONTENT: Mapping[str, Mapping[str, Edit]] = {
    "bits flipped": {"": flip_bits},
    "cut short": {"": truncate},
    "a range zeroed": {"": zero},
    "a range overwritten": {"": overwrite},
    "a range twice": {"": repeat},
    "a range lost": {"": delete},
    "a part lost": {".mlmodel": in_message(_lose_field), ".mil": in_text(_lose_tokens)},
    "a part twice": {".mlmodel": in_message(_repeat_field), ".mil": in_text(_repeat_tokens)},
    "parts exchanged": {".mlmodel": in_message(_exchange_fields), ".mil": in_text(_exchange_tokens)},
    "a false length": {".mlmodel": in_message(_lie_about_length), ".bin": lie_about_blob},
    "a huge number": {".mlmodel": in_message(_large_number), ".mil": in_text(_large_size)},
    "another word": {".mil": in_text(_other_token)},
    "another value": {".json": in_json(_other_value)},
    "deep nesting": {
        ".mlmodel": in_message(_nest),
        ".mil": in_text(_nest_brackets),
        ".json": in_json(_nested_value),
    },
    "only brackets": {".json": deep_json},
}
"""What damages a file, by how its name ends: "" is any file."""
