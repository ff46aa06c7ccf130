"""Compiled folders without a compiler: a package's program written as the text of a ``.mlmodelc``.

For tests only. Apple's compiler runs on a Mac, so this follows what is known of its output: a
description of the grammar, and short programs by several versions of it that others have published.
It takes the program from coremltools' protobuf classes, not from our reader, in one of three spellings:

* ``ios16``: ``program(1.0)``, scalars are ``tensor<int32, []>(1)``, as compilers wrote before 2024;
* ``ios17``: ``program(1.3)``, scalars are ``int32(1)``, attributes still in brackets;
* ``ios18``: the same, with parameters that lie in the package's inputs in the parentheses.

The last two differ only in what the package itself holds, and in the name of the operation set.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from coremltools.proto import MIL_pb2, Model_pb2

Spelling = Literal["ios16", "ios17", "ios18"]

_OPSETS = {"CoreML5": "ios15", "CoreML6": "ios16", "CoreML7": "ios17", "CoreML8": "ios18"}
_DTYPES = {
    "FLOAT16": "fp16",
    "FLOAT32": "fp32",
    "FLOAT64": "fp64",
    "BFLOAT16": "bf16",
}
_RAW = {"fp16": "<f2", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "uint32": "<u4"}
_BITS = {"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6, "int4": 4}
_ARRAYS = {65552: "Float16", 65568: "Float32", 131104: "Int32"}
SPELLINGS: Mapping[str, Spelling] = {"macOS13": "ios16", "macOS14": "ios17", "macOS15": "ios18"}
"""How a compiler of its time writes a package for each target."""


def compile_package(
    package: Path, folder: Path, spelling: Spelling = "ios16", *, metadata: bool = True
) -> Path:
    """Write ``folder``, a ``.mlmodelc``; without ``metadata`` as what a Mac compiles when it runs."""
    model = Model_pb2.Model.FromString(next(package.rglob("model.mlmodel")).read_bytes())
    folder.mkdir(parents=True)
    (folder / "model.mil").write_text(mil_text(model, spelling), encoding="utf-8")
    (folder / "coremldata.bin").write_bytes(b"\0")
    if weights := next(package.rglob("weight.bin"), None):
        (folder / "weights").mkdir()
        shutil.copyfile(weights, folder / "weights" / "weight.bin")
    if metadata:
        (folder / "metadata.json").write_text(json.dumps([_metadata(model)], indent=2))
    return folder


def mil_text(model: Any, spelling: Spelling) -> str:
    """The text of a model's program."""
    writer = _Writer(plain_scalars=spelling != "ios16")
    strings = writer.scalar_type("string")
    version = "1.3" if writer.plain_scalars else "1.0"
    build = '{"coremlc-component-MIL", "3520.4.1"}, {"coremlc-version", "3520.5.1"}'
    functions = model.mlProgram.functions
    body = "".join(writer.function(name, functions[name]) for name in sorted(functions))
    return f"program({version})\n[buildInfo = dict<{strings}, {strings}>({{{build}}})]\n{{\n{body}}}\n"


class _Writer:
    def __init__(self, *, plain_scalars: bool) -> None:
        self.plain_scalars = plain_scalars

    def function(self, name: str, function: Any) -> str:
        inputs = ", ".join(f"{self.type(each.type)} {each.name}" for each in function.inputs)
        block = function.block_specializations[function.opset]
        lines = "".join(f"            {self.operation(each)};\n" for each in block.operations)
        opset = _OPSETS[function.opset]
        return f"    func {name}<{opset}>({inputs}) {{\n{lines}        }} -> ({', '.join(block.outputs)});\n"

    def operation(self, operation: Any) -> str:
        outputs = ", ".join(f"{self.type(each.type)} {each.name}" for each in operation.outputs)
        arguments = ", ".join(
            f"{name} = {self.argument(operation.inputs[name])}" for name in sorted(operation.inputs)
        )
        attributes = ", ".join(
            f"{name} = {self.value(operation.attributes[name])}" for name in sorted(operation.attributes)
        )
        brackets = f"[{attributes}]" if attributes else ""
        return f"{outputs} = {operation.type}({arguments}){brackets}"

    def argument(self, argument: Any) -> str:
        bindings = [
            each.name if each.WhichOneof("binding") == "name" else self.value(each.value)
            for each in argument.arguments
        ]
        return f"({', '.join(bindings)})" if len(bindings) > 1 else bindings[0]

    def type(self, type_: Any) -> str:
        tensor = type_.tensorType
        sizes = [str(each.constant.size) for each in tensor.dimensions]
        name = _dtype(tensor.dataType)
        return f"tensor<{name}, [{', '.join(sizes)}]>" if sizes else self.scalar_type(name)

    def scalar_type(self, dtype: str) -> str:
        return dtype if self.plain_scalars else f"tensor<{dtype}, []>"

    def scalar(self, dtype: str, content: str) -> str:
        return f"{self.scalar_type(dtype)}({content})"

    def value(self, value: Any) -> str:
        type_ = self.type(value.type)
        if value.HasField("blobFileValue"):
            blob = value.blobFileValue
            path = self.scalar("string", _quoted(blob.fileName))
            return f"{type_}(BLOBFILE(path = {path}, offset = {self.scalar('uint64', str(blob.offset))}))"
        shape = [each.constant.size for each in value.type.tensorType.dimensions]
        elements = iter(_elements(value.immediateValue.tensor, _dtype(value.type.tensorType.dataType)))
        return f"{type_}({_nested(elements, shape)})"


def _dtype(code: int) -> str:
    name: str = MIL_pb2.DataType.Name(code)
    return _DTYPES.get(name, name.lower())


def _nested(elements: Iterator[str], shape: list[int]) -> str:
    if not shape:
        return next(elements)
    return f"[{', '.join(_nested(elements, shape[1:]) for _ in range(shape[0]))}]"


def _elements(tensor: Any, dtype: str) -> list[str]:
    field = tensor.WhichOneof("value")
    values = getattr(tensor, field).values
    if field == "strings":
        return [_quoted(each) for each in values]
    if field == "bools":
        return [str(each).lower() for each in values]
    if field == "bytes":
        return [_hexadecimal(each) if dtype == "fp16" else str(each) for each in _raw(values, dtype)]
    return [_hexadecimal(each) if isinstance(each, float) else str(each) for each in values]


def _raw(content: bytes, dtype: str) -> list[Any]:
    if dtype not in _BITS:
        numbers: list[Any] = np.frombuffer(content, _RAW[dtype]).tolist()
        return numbers
    bits = _BITS[dtype]
    whole = int.from_bytes(content, "little")
    codes = [whole >> place & (1 << bits) - 1 for place in range(0, 8 * len(content) - bits + 1, bits)]
    return [code - 16 if code > 7 else code for code in codes] if dtype == "int4" else codes


def _hexadecimal(number: float) -> str:
    """``0x1.8p-1``, as the compiler writes it: no zeros at the end."""
    mantissa, power, exponent = number.hex().partition("p")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + power + exponent


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _metadata(model: Any) -> dict[str, Any]:
    description = model.description
    return {
        "metadataOutputVersion": "3.0",
        "specificationVersion": model.specificationVersion,
        "version": description.metadata.versionString,
        "license": description.metadata.license,
        "storagePrecision": "Float16",
        "mlProgramOperationTypeHistogram": {},
        "userDefinedMetadata": dict(description.metadata.userDefined),
        "inputSchema": [_schema(feature) for feature in description.input],
        "outputSchema": [_schema(feature) for feature in description.output],
    }


def _schema(feature: Any) -> dict[str, str]:
    array = feature.type.multiArrayType
    return {
        "name": feature.name,
        "type": "MultiArray",
        "dataType": _ARRAYS[array.dataType],
        "shape": str(list(array.shape)),
        "isOptional": "0",
        "hasShapeFlexibility": "0",
    }
