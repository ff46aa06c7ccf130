"""The bytes of a ``model.mlmodel`` as a :class:`Model`."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from sdtui.runtime.portable.program import (
    NUMPY_DTYPES,
    Argument,
    Array,
    Blob,
    Feature,
    Function,
    Model,
    Operation,
    Output,
    TensorType,
    Value,
)
from sdtui.runtime.portable.schema import ARRAY_DTYPES, MIL_DTYPES, SCHEMA
from sdtui.runtime.portable.weights import from_bytes
from sdtui.runtime.portable.wire import MalformedError, Message, decode

_MAX_RANK = 16
_MAX_SIZE = 1 << 40
_NOT_A_TENSOR = TensorType("none", ())


def pipeline_models(data: bytes) -> tuple[bytes, ...]:
    """The serialized models that a serialized pipeline runs one after the other; none of another kind.

    Raises MalformedError.
    """
    return tuple(decode(SCHEMA, "Pipelined", data).get("pipeline", {}).get("models", ()))


def read_model(data: bytes, function: str | None = None) -> Model:
    """Decode a serialized Core ML model, its default function or the one called ``function``.

    Raises MalformedError unless it is a readable ML Program that has such a function.
    """
    message = decode(SCHEMA, "Model", data)
    if "mlProgram" not in message:
        kind = next((kind for kind in ("pipeline", "neuralNetwork") if kind in message), "something else")
        raise MalformedError(f"it is a model of another kind ({kind}), not an ML Program")
    description = message.get("description", {})
    name = function or description.get("defaultFunctionName", "")
    features = next(
        (function for function in description.get("functions", ()) if function.get("name") == name),
        description,
    )
    functions = message["mlProgram"].get("functions", {})
    name = name or "main"
    if name not in functions:
        raise MalformedError(f"its program has no function {name}")
    metadata = description.get("metadata", {})
    return Model(
        specification_version=message.get("specificationVersion", 0),
        inputs=tuple(_feature(feature) for feature in features.get("input", ())),
        outputs=tuple(_feature(feature) for feature in features.get("output", ())),
        function=_function(functions[name]),
        metadata=dict(metadata.get("userDefined", {})),
        version=metadata.get("versionString", ""),
        licence=metadata.get("license", ""),
    )


def _feature(message: Message) -> Feature:
    name = message.get("name", "")
    array = message.get("type", {}).get("multiArrayType")
    if array is None:
        raise MalformedError(f"its {name!r} is not an array")
    dtype = ARRAY_DTYPES.get(array.get("dataType", 0))
    if dtype is None:
        raise MalformedError(f"its {name!r} has an unknown type")
    return Feature(name, TensorType(dtype, tuple(array.get("shape", ()))))


def _function(message: Message) -> Function:
    opset = message.get("opset", "")
    blocks = message.get("block_specializations", {})
    if opset not in blocks:
        raise MalformedError(f"its program has no block for {opset or 'its opset'}")
    block = blocks[opset]
    return Function(
        inputs=tuple(_output(value) for value in message.get("inputs", ())),
        operations=tuple(_operation(operation) for operation in block.get("operations", ())),
        outputs=tuple(block.get("outputs", ())),
    )


def _operation(message: Message) -> Operation:
    inputs: dict[str, Argument] = {
        name: tuple(_binding(binding) for binding in argument.get("arguments", ()))
        for name, argument in message.get("inputs", {}).items()
    }
    for name, value in message.get("attributes", {}).items():
        if name != "name":
            inputs.setdefault(name, (_value(value),))
    return Operation(
        type=message.get("type", ""),
        inputs=inputs,
        outputs=tuple(_output(value) for value in message.get("outputs", ())),
    )


def _binding(message: Message) -> str | Value:
    if "value" in message:
        return _value(message["value"])
    if "name" not in message:
        raise MalformedError("an operation has an input without a value")
    return str(message["name"])


def _output(message: Message) -> Output:
    return Output(message.get("name", ""), _type(message.get("type", {})))


def _type(message: Message) -> TensorType:
    tensor = message.get("tensorType")
    if tensor is None:
        return _NOT_A_TENSOR
    dtype = MIL_DTYPES.get(tensor.get("dataType", 0))
    if dtype is None:
        raise MalformedError("a tensor has an unknown type")
    dimensions = tensor.get("dimensions", ())
    return tensor_type(
        dtype,
        tuple(each["constant"].get("size", 0) if "constant" in each else None for each in dimensions),
    )


def tensor_type(dtype: str, shape: tuple[int | None, ...]) -> TensorType:
    """A type that a program declares. Raises MalformedError for a shape that no tensor has."""
    if len(shape) > _MAX_RANK:
        raise MalformedError(f"a tensor has {len(shape)} dimensions")
    if any(size is not None and size > _MAX_SIZE for size in shape):
        raise MalformedError("a tensor is larger than any computer")
    return TensorType(dtype, shape)


def _value(message: Message) -> Value:
    type_ = _type(message.get("type", {}))
    if "blobFileValue" in message:
        blob = message["blobFileValue"]
        return Value(type_, Blob(blob.get("fileName", ""), blob.get("offset", 0)))
    immediate = message.get("immediateValue", {})
    if "list" in immediate:
        items = [_value(item).data for item in immediate["list"].get("values", ())]
        if not all(isinstance(item, str) for item in items):
            raise MalformedError("a list holds something other than text")
        return Value(type_, tuple(str(item) for item in items))
    if "tensor" not in immediate:
        raise MalformedError("a constant has no value")
    return Value(type_, _immediate(immediate["tensor"], type_))


def _immediate(message: Message, type_: TensorType) -> Array | str | tuple[str, ...]:
    field = next(iter(message), "")
    values: Any = message.get(field, {}).get("values", b"" if field == "bytes" else ())
    if field == "strings":
        return values[0] if not type_.shape and len(values) == 1 else tuple(values)
    shape = known(type_.shape)
    if field == "bytes":
        return from_bytes(np.frombuffer(values, np.uint8), type_.dtype, shape)
    dtype = NUMPY_DTYPES.get(type_.dtype)
    if dtype is None:
        raise MalformedError(f"a constant of type {type_.dtype} has no value")
    if len(values) != prod(shape):
        raise MalformedError(f"a constant of {prod(shape)} elements has {len(values)}")
    try:
        return np.array(values, dtype=dtype).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise MalformedError(f"a constant does not fit its type {type_.dtype}") from error


def known(shape: tuple[int | None, ...], of: str = "a constant") -> tuple[int, ...]:
    """The shape, all of whose sizes must be known. Raises MalformedError otherwise."""
    sizes = tuple(size for size in shape if size is not None)
    if len(sizes) != len(shape):
        raise MalformedError(f"{of} has an unknown shape")
    return sizes
