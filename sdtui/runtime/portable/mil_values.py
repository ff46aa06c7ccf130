"""Types and constants as the text form of a program spells them.

Two spellings: ``tensor<int32, []>(1)`` and ``tensor<string, []>("x")`` before iOS 18 and by older
compilers, ``int32(1)`` and ``string("x")`` since.
"""

from __future__ import annotations

import numpy as np

from sdtui.runtime.portable.mil_tokens import Tokens
from sdtui.runtime.portable.program import (
    NUMPY_DTYPES,
    SUB_BYTE_BITS,
    Argument,
    Array,
    Blob,
    TensorType,
    Value,
)
from sdtui.runtime.portable.schema import MIL_DTYPES
from sdtui.runtime.portable.specification import known, tensor_type
from sdtui.runtime.portable.wire import MalformedError

_DTYPES = frozenset(MIL_DTYPES.values())
_COMPOUND = frozenset(("tensor", "list", "dict", "tuple", "state"))


def read_type(tokens: Tokens, name: str | None = None) -> TensorType:
    """``tensor<fp16, [2, ?]>`` or ``fp16``; ``name`` is its first word where that was read already.

    Of what is not a tensor (``state<...>``, ``list<...>``), only that name is kept, as the dtype.
    """
    name = name or tokens.name()
    if name not in _COMPOUND:
        return TensorType(_dtype(name), ())
    if name != "tensor":
        _skip_type_arguments(tokens)
        return TensorType(name, ())
    tokens.take("<")
    dtype = _dtype(tokens.name())
    tokens.take(",")
    shape = _shape(tokens)
    tokens.take(">")
    return tensor_type(dtype, shape)


def read_argument(tokens: Tokens) -> Argument:
    """A name or a constant, or several of them in parentheses."""
    if not tokens.taken("("):
        return (_binding(tokens),)
    bindings = []
    while not tokens.taken(")"):
        bindings.append(_binding(tokens))
        if tokens.current != ")":
            tokens.take(",")
    return tuple(bindings)


def read_value(tokens: Tokens, name: str | None = None) -> Value:
    """A constant: its type, then in parentheses what it is."""
    type_ = read_type(tokens, name)
    if type_.dtype in _COMPOUND:
        return Value(type_, _texts(tokens))
    tokens.take("(")
    data = _blob(tokens) if tokens.current == "BLOBFILE" else _immediate(tokens, type_)
    tokens.take(")")
    return Value(type_, data)


def _binding(tokens: Tokens) -> str | Value:
    name = tokens.name()
    return read_value(tokens, name) if tokens.current in ("(", "<") else name


def _dtype(name: str) -> str:
    if name not in _DTYPES:
        raise MalformedError("a tensor has an unknown type")
    return name


def _skip_type_arguments(tokens: Tokens) -> None:
    """Step over ``<...>``, where types lie in types."""
    tokens.take("<")
    depth = 1
    while depth:
        if not tokens.current:
            raise tokens.unexpected(">")
        depth += (tokens.current == "<") - (tokens.current == ">")
        tokens.advance()


def _shape(tokens: Tokens) -> tuple[int | None, ...]:
    sizes: list[int | None] = []
    tokens.take("[")
    while not tokens.taken("]"):
        if tokens.current != "?" and not tokens.current.isdecimal():
            raise tokens.unexpected("a size")
        size = tokens.advance()
        sizes.append(None if size == "?" else int(_number(size, "int64")))
        if tokens.current != "]":
            tokens.take(",")
    return tuple(sizes)


def _blob(tokens: Tokens) -> Blob:
    """``BLOBFILE(path = ..., offset = ...)``, both of them typed constants."""
    tokens.take("BLOBFILE")
    tokens.take("(")
    given: dict[str, Array | str | tuple[str, ...]] = {}
    while not tokens.taken(")"):
        name = tokens.name()
        tokens.take("=")
        type_ = read_type(tokens)
        tokens.take("(")
        given[name] = _immediate(tokens, type_)
        tokens.take(")")
        if tokens.current != ")":
            tokens.take(",")
    path, offset = given.get("path"), given.get("offset")
    whole = isinstance(offset, np.ndarray) and offset.dtype.kind in "iu" and offset.size == 1
    if not isinstance(path, str) or not whole or (place := int(np.asarray(offset).item())) < 0:
        raise MalformedError("a constant names no place in a weight file")
    return Blob(path, place)


def _texts(tokens: Tokens) -> tuple[str, ...]:
    """The texts of a list; any other constant that is not a tensor is stepped over, and empty."""
    tokens.take("(")
    if not tokens.current.startswith('"'):
        while tokens.current != ")":
            if tokens.current in ("(", "[", "{"):
                tokens.skip_brackets()
            elif not tokens.current:
                raise tokens.unexpected(")")
            else:
                tokens.advance()
    texts = []
    while not tokens.taken(")"):
        texts.append(tokens.text())
        if tokens.current != ")":
            tokens.take(",")
    return tuple(texts)


def _immediate(tokens: Tokens, type_: TensorType) -> Array | str | tuple[str, ...]:
    shape = known(type_.shape)
    if type_.dtype == "string":
        if not shape:
            return tokens.text()
        return tuple(_elements(tokens, shape, texts=True))
    elements = _elements(tokens, shape) if shape else [tokens.advance()]
    return _array(elements, type_.dtype, shape)


def _elements(tokens: Tokens, shape: tuple[int, ...], *, texts: bool = False) -> list[str]:
    """The elements of ``[[a, b], [c, d]]`` in row-major order; the brackets must be those of ``shape``."""
    elements: list[str] = []
    counts: list[int] = []
    while True:
        if len(counts) < len(shape) and tokens.current == "[":
            tokens.advance()
            counts.append(0)
            if tokens.current != "]":
                continue
        elif counts and len(counts) == len(shape):
            elements.append(tokens.text() if texts else tokens.advance())
            counts[-1] += 1
        else:
            raise tokens.unexpected("[")
        while tokens.current == "]":
            if counts.pop() != shape[len(counts)]:
                raise tokens.unexpected(f"a constant of {'x'.join(map(str, shape))}")
            tokens.advance()
            if not counts:
                return elements
            counts[-1] += 1
        tokens.take(",")


def _array(elements: list[str], dtype: str, shape: tuple[int, ...]) -> Array:
    numbers = [_number(element, dtype) for element in elements]
    if dtype in SUB_BYTE_BITS:
        signed, bits = dtype == "int4", SUB_BYTE_BITS[dtype]
        lowest, beyond = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
        if not all(lowest <= number < beyond for number in numbers):
            raise MalformedError(f"a constant does not fit its type {dtype}")
        return np.array(numbers, np.int8 if signed else np.uint8).reshape(shape)
    numpy_dtype = NUMPY_DTYPES["fp32"] if dtype == "bf16" else NUMPY_DTYPES.get(dtype)
    if numpy_dtype is None:
        raise MalformedError(f"a constant of type {dtype} has no value")
    try:
        with np.errstate(over="ignore"):
            return np.array(numbers, numpy_dtype).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise MalformedError(f"a constant does not fit its type {dtype}") from error


def _number(text: str, dtype: str) -> int | float | bool:
    """A number as it is written: floats may be hexadecimal, ``inf`` or ``nan``."""
    hexadecimal = "x" in text or "X" in text
    try:
        if dtype == "bool":
            return {"true": True, "false": False}[text]
        if dtype.startswith(("fp", "bf")):
            return float.fromhex(text) if hexadecimal else float(text)
        return int(text, 16 if hexadecimal else 10)
    except (KeyError, ValueError, OverflowError) as error:
        raise MalformedError(f"a constant of type {dtype} has a {text[:20]!a}") from error
