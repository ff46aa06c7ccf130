"""A program and its weights, one at a time, to a ``.mlpackage``.

The package is written by us and not by coremltools, so that a weight is read, encoded and written
before the next one, the same conversion gives the same bytes, and programs can share a weight file.
Formats: Core ML's Model.proto and MIL.proto, and the ``weight.bin`` of MILBlob's StorageFormat.hpp.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sdtui.convert.encoding.encoded import Blob, Encoded
from sdtui.convert.encoding.encodings import Dense, Linear, Palette
from sdtui.convert.program import Constant, Program
from sdtui.convert.source import ConversionError
from sdtui.runtime import Array
from sdtui.runtime.portable.program import SUB_BYTE_BITS
from sdtui.runtime.portable.schema import MIL_DTYPES
from sdtui.runtime.portable.weights import BLOB_DTYPES

Encoding = Dense | Palette | Linear
Key = tuple[object, ...]

MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")

_ALIGNMENT = 64
_HEADER = struct.Struct("<II56x")
_METADATA = struct.Struct("<IIQQQ32x")
_SENTINEL = 0xDEADBEEF
_VERSION = 2
_IN_PROGRAM = 10
"""Constants of fewer elements are kept in the program itself, as coremltools does."""

_CODES = {name: code for code, name in BLOB_DTYPES.items()}
_MIL_CODES = {name: code for code, name in MIL_DTYPES.items()}
_CONSTEXPR_INPUTS_FROM = 9
"""The specification version (macOS15) from which on constexpr parameters are inputs, not attributes."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A constant after it was written: the operation that makes it, and its parameters (MIL values)."""

    operation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class WeightFile:
    """What a ``weight.bin`` holds: where each constant is, by its key, in the order of writing."""

    path: Path
    stored: Mapping[Key, Stored]


def write_weights(
    path: Path,
    constants: Iterable[tuple[Constant, Encoding]],
    read: Callable[[str], Array],
    target: Any,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> WeightFile:
    """Write a weight file with each constant once, holding one weight in memory at a time.

    ``read`` gives a parameter as float16 or float32. ``on_bytes`` hears how many were written so far.
    Raises :class:`ConversionError` for a weight that its type cannot hold, OSError.
    """
    stored: dict[Key, Stored] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        writer = _BlobWriter(file)
        for constant, encoding in constants:
            key = constant_key(constant, encoding)
            if key not in stored:
                stored[key] = _store(_encoded(constant, encoding, read, target), writer)
                on_bytes(file.tell())
        writer.finish()
    return WeightFile(path, stored)


def constant_key(constant: Constant, encoding: Encoding) -> Key:
    """What two constants have in common that are stored as one."""
    if constant.parameter is not None:
        return constant.parameter, constant.shape, constant.dtype, encoding.key
    assert constant.value is not None
    return sha256(constant.value.tobytes()).hexdigest(), constant.shape, constant.dtype


def write_package(
    package: Path,
    functions: Mapping[str, Program],
    weights: WeightFile,
    encoding: Callable[[Constant], Encoding],
    metadata: Mapping[str, str],
) -> None:
    """Write the programs over ``weights``, which lies in ``package`` or is linked there.

    One function is an ordinary model, more are a multifunction one (macOS15) whose default is the
    first. ``metadata`` holds ``author``, ``license``, ``shortDescription``, ``versionString`` and
    whatever else, which goes to the user-defined part. Raises OSError.
    """
    models = {name: _linked(program, weights, encoding) for name, program in functions.items()}
    model = next(iter(models.values())) if len(models) == 1 else _multifunction(models)
    described = model.description.metadata
    for name, text in metadata.items():
        if name in ("author", "license", "shortDescription", "versionString"):
            setattr(described, name, text)
        else:
            described.userDefined[name] = text
    if weights.path != package / WEIGHTS:
        (package / WEIGHTS).parent.mkdir(parents=True)
        (package / WEIGHTS).hardlink_to(weights.path)
    (package / MODEL).write_bytes(model.SerializeToString(deterministic=True))
    (package / "Manifest.json").write_text(json.dumps(_manifest(), indent=4, sort_keys=True) + "\n")


def _encoded(constant: Constant, encoding: Encoding, read: Callable[[str], Array], target: Any) -> Encoded:
    if constant.parameter is None:
        assert constant.value is not None
        return Encoded("const", {"val": Blob.of(constant.value)}, "fp32", constant.shape)
    weight = read(constant.parameter).reshape(constant.shape)
    if constant.dtype == "fp16":
        with np.errstate(over="ignore"):
            half = weight.astype(np.float16)
        if not np.isfinite(half).all():
            raise ConversionError(
                "the network cannot be converted in float16",
                f"{constant.parameter} has numbers that are too large for it",
                "add --precision fp32",
            )
        weight = half
    return encoding.encode(weight, target)


def _store(encoded: Encoded, writer: _BlobWriter) -> Stored:
    return Stored(encoded.operation, {name: _value(blob, writer) for name, blob in encoded.blobs.items()})


def _value(blob: Blob, writer: _BlobWriter) -> Any:
    """The blob as a MIL value: a place in the weight file, or its bytes where it is very small."""
    from coremltools.proto import MIL_pb2

    value = MIL_pb2.Value()
    tensor = value.type.tensorType
    tensor.dataType = _MIL_CODES[blob.dtype]
    tensor.rank = len(blob.shape)
    for size in blob.shape:
        tensor.dimensions.add().constant.size = size
    if int(np.prod(blob.shape)) < _IN_PROGRAM:
        _write_immediate(value.immediateValue.tensor, blob)
    else:
        value.blobFileValue.fileName = "@model_path/weights/weight.bin"
        value.blobFileValue.offset = writer.write(blob)
    return value


def _write_immediate(tensor: Any, blob: Blob) -> None:
    """Into the field that Core ML expects: two types have their own, the others are bytes."""
    if blob.dtype == "fp32":
        tensor.floats.values.extend(blob.data.reshape(-1).tolist())
    elif blob.dtype == "int32":
        tensor.ints.values.extend(blob.data.reshape(-1).tolist())
    else:
        tensor.bytes.values = blob.data.tobytes()


class _BlobWriter:
    """The blobs of a ``weight.bin``, one after another into ``file``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._count = 0
        file.write(_HEADER.pack(0, _VERSION))

    def write(self, blob: Blob) -> int:
        """Append a blob; returns where its metadata begins, which is what programs point at."""
        offset = self._file.tell()
        size = blob.data.nbytes
        unused = (
            8 * size - int(np.prod(blob.shape)) * SUB_BYTE_BITS[blob.dtype]
            if blob.dtype in SUB_BYTE_BITS
            else 0
        )
        self._file.write(_METADATA.pack(_SENTINEL, _CODES[blob.dtype], size, offset + _METADATA.size, unused))
        self._file.write(blob.data.reshape(-1).data.cast("B"))
        self._file.write(bytes(-size % _ALIGNMENT))
        self._count += 1
        return offset

    def finish(self) -> None:
        """Say in the header how many blobs there are."""
        self._file.seek(0)
        self._file.write(_HEADER.pack(self._count, _VERSION))


def _linked(program: Program, weights: WeightFile, encoding: Callable[[Constant], Encoding]) -> Any:
    """The model of a program, its indices replaced by places in the weight file."""
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model()
    model.CopyFrom(program.model)
    for function in model.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                value = operation.attributes["val"] if operation.type == "const" else None
                if value is not None and value.HasField("blobFileValue"):
                    constant = program.constants[value.blobFileValue.offset]
                    stored = weights.stored[constant_key(constant, encoding(constant))]
                    _become(operation, stored, model.specificationVersion)
    return model


def _become(operation: Any, stored: Stored, specification_version: int) -> None:
    """Turn a ``const`` operation into the one that makes its value from what was stored."""
    operation.type = stored.operation
    if stored.operation == "const":
        operation.attributes["val"].CopyFrom(stored.parameters["val"])
        return
    del operation.attributes["val"]
    for name, value in stored.parameters.items():
        if specification_version < _CONSTEXPR_INPUTS_FROM:
            operation.attributes[name].CopyFrom(value)
        else:
            operation.inputs[name].arguments.add().value.CopyFrom(value)


def _multifunction(models: Mapping[str, Any]) -> Any:
    from coremltools.proto import Model_pb2

    names: Sequence[str] = list(models)
    model = Model_pb2.Model()
    model.CopyFrom(models[names[0]])
    del model.description.input[:]
    del model.description.output[:]
    model.description.defaultFunctionName = names[0]
    main = next(iter(models[names[0]].mlProgram.functions))
    del model.mlProgram.functions[main]
    for name in names:
        description = model.description.functions.add(name=name)
        description.input.extend(models[name].description.input)
        description.output.extend(models[name].description.output)
        model.mlProgram.functions[name].CopyFrom(models[name].mlProgram.functions[main])
    return model


def _manifest() -> dict[str, Any]:
    model, weights = (
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"com.apple.CoreML/{name}")).upper()
        for name in ("model.mlmodel", "weights")
    )
    entries = {
        model: ("CoreML Model Specification", "model.mlmodel"),
        weights: ("CoreML Model Weights", "weights"),
    }
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            identifier: {
                "author": "com.apple.CoreML",
                "description": description,
                "name": name,
                "path": f"com.apple.CoreML/{name}",
            }
            for identifier, (description, name) in entries.items()
        },
        "rootModelIdentifier": model,
    }
