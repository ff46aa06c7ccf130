"""A package read back as programs over named constants, so that it can be written in another way.

The opposite of :mod:`sdtui.convert.assembly`: whatever its weight file holds becomes a
:class:`~sdtui.convert.program.Constant`. Compressed weights do too, as what they stand for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdtui.conversion import Target
from sdtui.convert.assembly import MODEL
from sdtui.convert.program import Constant, Program, coremltools
from sdtui.runtime import Array
from sdtui.runtime.portable.ops.constexpr import CONSTEXPR
from sdtui.runtime.portable.package import open_package, reading
from sdtui.runtime.portable.program import NUMPY_DTYPES
from sdtui.runtime.portable.schema import MIL_DTYPES
from sdtui.runtime.portable.weights import WeightFile, from_bytes
from sdtui.runtime.portable.wire import MalformedError

TARGETS: Mapping[int, Target] = {7: "macOS13", 8: "macOS14", 9: "macOS15"}
"""What a specification version is for."""


@dataclass(frozen=True, eq=False)
class Disassembled:
    """The ``functions`` of a package, its default one first, and the ``target`` they are for.

    ``read`` gives what a constant calls its ``parameter``, decompressed, as float16 or float32.
    """

    target: Target
    functions: Mapping[str, Program]
    read: Callable[[str], Array]


def disassemble(package: Path) -> Disassembled:
    """Read a ``.mlpackage``; weights are read when asked for.

    Raises :class:`~sdtui.runtime.NetworkError` when there is none, or a broken one.
    """
    coremltools()
    from coremltools.proto import Model_pb2

    folder = open_package(package).folder
    with reading(package):
        model = Model_pb2.Model.FromString((folder / MODEL.name).read_bytes())
        if model.specificationVersion not in TARGETS:
            raise MalformedError(f"it is of version {model.specificationVersion}, which we cannot write")
        store = _Store(folder)
        default = model.description.defaultFunctionName or "main"
        names = sorted(model.mlProgram.functions, key=lambda name: (name != default, name))
        functions = {name: _program(_alone(model, name), store) for name in names}
    return Disassembled(TARGETS[model.specificationVersion], functions, store.read)


class _Store:
    """The constants of a package by name, and the weight files that they lie in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, WeightFile] = {}
        self._makers: dict[str, Callable[[], Array]] = {}
        self._names: dict[bytes, str] = {}

    def name(self, wanted: str, operation: Any, constants: Mapping[str, Any]) -> str:
        """What the result of ``operation`` is called: one name wherever a package has the same weight."""
        identity = _identity(operation)
        if identity not in self._names:
            name = wanted if wanted not in self._makers else f"{wanted}_{len(self._makers)}"
            self._names[identity] = name
            self._makers[name] = lambda: self.value(operation, constants)
        return self._names[identity]

    def read(self, name: str) -> Array:
        """The constant of this name."""
        return self._makers[name]()

    def value(self, operation: Any, constants: Mapping[str, Any]) -> Array:
        """What a constant operation stands for."""
        arguments = {name: self._content(value) for name, value in _values(operation)}
        for name, argument in operation.inputs.items():
            for binding in argument.arguments:
                if binding.WhichOneof("binding") == "name":
                    arguments[name] = self.value(constants[binding.name], constants)
        if operation.type == "const":
            return arguments["val"]
        return np.asarray(CONSTEXPR[operation.type](**arguments))

    def _content(self, value: Any) -> Array:
        tensor = value.type.tensorType
        dtype = MIL_DTYPES[tensor.dataType]
        shape = tuple(dimension.constant.size for dimension in tensor.dimensions)
        if value.HasField("blobFileValue"):
            blob = value.blobFileValue
            return self._file(blob.fileName).read(blob.offset, dtype, shape)
        immediate = value.immediateValue.tensor
        kind = immediate.WhichOneof("value")
        values = getattr(immediate, kind).values
        if kind == "bytes":
            return from_bytes(np.frombuffer(values, np.uint8), dtype, shape)
        return np.array(values, NUMPY_DTYPES[dtype]).reshape(shape)

    def _file(self, name: str) -> WeightFile:
        if name not in self._files:
            self._files[name] = WeightFile(self._folder / name.removeprefix("@model_path/"))
        return self._files[name]


def _alone(model: Any, name: str) -> Any:
    """One function as a model whose only function it is, called ``main``."""
    alone = type(model)()
    alone.CopyFrom(model)
    for described in model.description.functions:
        if described.name == name:
            alone.description.input.extend(described.input)
            alone.description.output.extend(described.output)
    del alone.description.functions[:]
    alone.description.defaultFunctionName = ""
    alone.mlProgram.functions.clear()
    alone.mlProgram.functions["main"].CopyFrom(model.mlProgram.functions[name])
    return alone


def _program(model: Any, store: _Store) -> Program:
    """The model with its stored constants set aside; it is changed in place."""
    function = model.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    originals = [_copy(operation) for operation in block.operations]
    makers = {op.outputs[0].name: op for op in originals if op.type == "const" or op.type in CONSTEXPR}
    users = _users(originals)
    constants: list[Constant] = []
    del block.operations[:]
    for operation in originals:
        name = operation.outputs[0].name
        if name in makers and users[name] and users[name] <= CONSTEXPR.keys():
            continue  # a part of a compressed weight
        placed = block.operations.add()
        placed.CopyFrom(operation)
        if name in makers and _is_stored(operation):
            constants.append(_constant(operation, store, makers, users[name]))
            _point_at(placed, len(constants) - 1)
    return Program(model, tuple(constants))


def _constant(operation: Any, store: _Store, makers: Mapping[str, Any], users: set[str]) -> Constant:
    output = operation.outputs[0]
    dtype = MIL_DTYPES[output.type.tensorType.dataType]
    weighs = dtype in ("fp16", "fp32")
    return Constant(
        dtype=dtype,
        shape=tuple(dimension.constant.size for dimension in output.type.tensorType.dimensions),
        parameter=store.name(output.name, operation, makers) if weighs else None,
        value=None if weighs else store.value(operation, makers),
        operations=frozenset(users),
    )


def _point_at(operation: Any, index: int) -> None:
    """Make ``operation`` a ``const`` whose file value is ``index``."""
    name = operation.attributes["name"]
    kept = type(name)()
    kept.CopyFrom(name)
    operation.type = "const"
    operation.inputs.clear()
    operation.attributes.clear()
    operation.attributes["name"].CopyFrom(kept)
    value = operation.attributes["val"]
    value.type.CopyFrom(operation.outputs[0].type)
    value.blobFileValue.fileName = "@model_path/weights/weight.bin"
    value.blobFileValue.offset = index


def _is_stored(operation: Any) -> bool:
    return operation.type != "const" or bool(operation.attributes["val"].HasField("blobFileValue"))


def _values(operation: Any) -> Iterable[tuple[str, Any]]:
    """The parameters of a constant operation that are values: attributes in older programs, else inputs."""
    for name, value in operation.attributes.items():
        if name != "name":
            yield name, value
    for name, argument in operation.inputs.items():
        for binding in argument.arguments:
            if binding.WhichOneof("binding") == "value":
                yield name, binding.value


def _identity(operation: Any) -> bytes:
    """Equal for constants that are made in the same way of the same places in a file."""
    bare = _copy(operation)
    bare.attributes.pop("name", None)
    bare.outputs[0].name = ""
    return bytes(bare.SerializeToString(deterministic=True))


def _users(operations: Iterable[Any]) -> Mapping[str, set[str]]:
    """The types of the operations that read each value."""
    users: dict[str, set[str]] = defaultdict(set)
    for operation in operations:
        for argument in operation.inputs.values():
            for binding in argument.arguments:
                if binding.WhichOneof("binding") == "name":
                    users[binding.name].add(operation.type)
    return users


def _copy(operation: Any) -> Any:
    copy = type(operation)()
    copy.CopyFrom(operation)
    return copy
