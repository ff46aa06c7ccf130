"""A program cut in two, for devices that cannot hold it whole.

The cut is made in the program, before its weights are stored, so that halves are compressed and shared
between sizes as whole networks are. The two run one after the other: what the first hands over is an
output of it and an input of the second under one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

from sdtui.convert.program import Constant, Program
from sdtui.runtime.portable.schema import MIL_DTYPES

BALANCE = 0.04
"""How far from half of the weights the cut may lie; within that it is made where least is handed over."""

_HANDED_OVER = ("fp16", "fp32", "int32")
_BYTES = {"fp16": 2, "fp32": 4}
_FLOAT32_ARRAY, _INT32_ARRAY = 65568, 131104
_CODES = {name: code for code, name in MIL_DTYPES.items()}


@dataclass(frozen=True, eq=False)
class _Step:
    """An operation, the constants that it uses, and the names it reads."""

    operation: Any
    constants: tuple[Any, ...]
    reads: frozenset[str]


def halve(program: Program) -> tuple[Program, Program]:
    """Two programs that make what ``program`` makes, each with about half of its weights.

    Raises ValueError for a program that has no place to cut.
    """
    function = program.model.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    steps = _steps(block.operations)
    types = {value.name: value.type for value in function.inputs}
    for step in steps:
        types.update({output.name: output.type for output in step.operation.outputs})
    cut = _best_cut(steps, types, {value.name for value in function.inputs}, program.constants)
    crossing = _crossing(steps, cut, {value.name for value in function.inputs})
    first = _program(program, steps[:cut], types, given=(), made=crossing)
    second = _program(program, steps[cut:], types, given=crossing, made=())
    return first, second


def _steps(operations: Iterable[Any]) -> list[_Step]:
    constants: dict[str, Any] = {}
    steps = []
    for operation in operations:
        if operation.type == "const":
            constants[operation.outputs[0].name] = operation
            continue
        reads = frozenset(
            binding.name
            for argument in operation.inputs.values()
            for binding in argument.arguments
            if binding.WhichOneof("binding") == "name"
        )
        mine = tuple(constants[name] for name in constants if name in reads)
        steps.append(_Step(operation, mine, reads - constants.keys()))
    return steps


def _best_cut(
    steps: Sequence[_Step], types: dict[str, Any], inputs: set[str], constants: Sequence[Constant]
) -> int:
    """The number of steps in the first half."""
    sizes = [sum(_weight(constant, constants) for constant in step.constants) for step in steps]
    total = sum(sizes)
    balances = [abs(done / total - 0.5) if total else 1.0 for done in accumulate(sizes)][:-1]
    limit = max(BALANCE, min(balances, default=0))
    candidates = []
    for cut, balance in enumerate(balances, 1):
        if balance <= limit:
            crossing = [types[name] for name in _crossing(steps, cut, inputs)]
            if all(_dtype(kind) in _HANDED_OVER for kind in crossing):
                candidates.append((sum(map(_size, crossing)), cut))
    if not candidates:
        raise ValueError("there is no place to cut this program")
    return min(candidates)[1]


def _crossing(steps: Sequence[_Step], cut: int, inputs: set[str]) -> tuple[str, ...]:
    """What the first ``cut`` steps make and the others read, in the order of making."""
    read = frozenset().union(*(step.reads for step in steps[cut:])) - inputs
    return tuple(
        output.name for step in steps[:cut] for output in step.operation.outputs if output.name in read
    )


def _program(
    whole: Program, steps: Sequence[_Step], types: dict[str, Any], given: Sequence[str], made: Sequence[str]
) -> Program:
    """A program of ``steps``: it is given some values beside its inputs, and makes some, or the outputs."""
    from coremltools.proto import Model_pb2

    source = whole.model.mlProgram.functions["main"]
    reads = frozenset().union(*(step.reads for step in steps))
    model = Model_pb2.Model()
    model.CopyFrom(whole.model)
    function = model.mlProgram.functions["main"]
    block = function.block_specializations[source.opset]
    del function.inputs[:], block.operations[:]
    function.inputs.extend(value for value in source.inputs if value.name in reads)
    kept = [feature for feature in whole.model.description.input if feature.name in reads]
    del model.description.input[:]
    model.description.input.extend(kept)
    for name in given:
        _receive(model, block, name, types[name])
    constants: list[Constant] = []
    written: set[str] = set()
    for step in steps:
        for constant in step.constants:
            if constant.outputs[0].name not in written:
                written.add(constant.outputs[0].name)
                block.operations.append(_renumbered(constant, whole.constants, constants))
        block.operations.append(step.operation)
    if made:
        del model.description.output[:], block.outputs[:]
        for name in made:
            _hand_over(model, block, name, types[name])
    return Program(model, tuple(constants))


def _receive(model: Any, block: Any, name: str, kind: Any) -> None:
    """Make ``name`` an input, which is float32 outside whatever it is inside."""
    outside = _outside(name, kind)
    function = model.mlProgram.functions["main"]
    function.inputs.add(name=outside, type=_as_float32(kind))
    _describe(model.description.input.add(name=outside), kind)
    if outside != name:
        block.operations.extend(_cast(outside, name, kind))


def _hand_over(model: Any, block: Any, name: str, kind: Any) -> None:
    """Make ``name`` an output, float32 outside: float16 outputs have odd strides in some systems."""
    outside = _outside(name, kind)
    block.outputs.append(outside)
    _describe(model.description.output.add(name=outside), kind)
    if outside != name:
        block.operations.extend(_cast(name, outside, _as_float32(kind)))


def _outside(name: str, kind: Any) -> str:
    return f"{name}_handed_over" if _dtype(kind) == "fp16" else name


def _cast(name: str, result: str, kind: Any) -> list[Any]:
    """The operations that make ``result`` of ``kind`` from ``name``."""
    from coremltools.converters.mil.backend.mil.helper import create_scalar_value
    from coremltools.proto import MIL_pb2

    value = create_scalar_value(_dtype(kind))
    dtype = MIL_pb2.Operation(type="const")
    dtype.outputs.add(name=f"{result}_dtype", type=value.type)
    dtype.attributes["name"].CopyFrom(create_scalar_value(f"{result}_dtype"))
    dtype.attributes["val"].CopyFrom(value)
    cast = MIL_pb2.Operation(type="cast")
    cast.inputs["x"].arguments.add().name = name
    cast.inputs["dtype"].arguments.add().name = f"{result}_dtype"
    cast.outputs.add(name=result, type=kind)
    cast.attributes["name"].CopyFrom(create_scalar_value(result))
    return [dtype, cast]


def _describe(feature: Any, kind: Any) -> None:
    array = feature.type.multiArrayType
    array.shape.extend(dimension.constant.size for dimension in kind.tensorType.dimensions)
    array.dataType = _INT32_ARRAY if _dtype(kind) == "int32" else _FLOAT32_ARRAY


def _as_float32(kind: Any) -> Any:
    from coremltools.proto import MIL_pb2

    copy = MIL_pb2.ValueType()
    copy.CopyFrom(kind)
    if _dtype(kind) == "fp16":
        copy.tensorType.dataType = _CODES["fp32"]
    return copy


def _renumbered(operation: Any, whole: Sequence[Constant], mine: list[Constant]) -> Any:
    """The operation, its file value pointing into ``mine``, where its constant is added."""
    if not operation.attributes["val"].HasField("blobFileValue"):
        return operation
    copy = type(operation)()
    copy.CopyFrom(operation)
    mine.append(whole[operation.attributes["val"].blobFileValue.offset])
    copy.attributes["val"].blobFileValue.offset = len(mine) - 1
    return copy


def _weight(operation: Any, constants: Sequence[Constant]) -> int:
    value = operation.attributes["val"]
    if not value.HasField("blobFileValue"):
        return 0
    constant: Constant = constants[value.blobFileValue.offset]
    return prod(constant.shape) * _BYTES.get(constant.dtype, 4)


def _dtype(kind: Any) -> str:
    return MIL_DTYPES[kind.tensorType.dataType]


def _size(kind: Any) -> int:
    elements: int = prod(dimension.constant.size for dimension in kind.tensorType.dimensions)
    return elements * _BYTES.get(_dtype(kind), 4)
