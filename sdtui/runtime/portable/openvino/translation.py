"""A function of a program as a model of OpenVINO's."""

from __future__ import annotations

from collections.abc import Mapping

import openvino
from openvino import opset15 as opset

from sdtui.runtime.portable.constants import STREAMED_ABOVE, Constants, is_constant
from sdtui.runtime.portable.openvino.innermost import POINTWISE
from sdtui.runtime.portable.openvino.operations import TRANSLATIONS, Value
from sdtui.runtime.portable.ops import OPERATIONS
from sdtui.runtime.portable.program import Array, Function, Operation, TensorType, only
from sdtui.runtime.portable.program import Value as Constant

_TYPES = {
    "fp16": openvino.Type.f32,
    "fp32": openvino.Type.f32,
    "int32": openvino.Type.i32,
    "bool": openvino.Type.boolean,
}
_AS_STORED = "decompression_0"
"""Marks a conversion whose constant is not to be converted before the layers that read it are made."""


class UntranslatableError(Exception):
    """A program that OpenVINO cannot run as it is meant."""


def translated(function: Function, constants: Constants) -> openvino.Model:
    """The model, its inputs and outputs named as in the program. Weights stay in their file.

    Raises UntranslatableError.
    """
    values = _Values(constants)
    parameters = [values.parameter(value.name, value.type) for value in function.inputs]
    for operation in function.operations:
        if is_constant(operation):
            continue
        try:
            values.add(operation)
        except (RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
            raise UntranslatableError(f"{operation.type} {operation.name}") from error
    results = [values.result(name) for name in function.outputs]
    return openvino.Model(results, parameters, "network")


class _Values:
    """What every value is in the model; a constant comes in when it is first read."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self._made: dict[str, Value] = {}

    def parameter(self, name: str, kind: TensorType) -> openvino.Node:
        node = opset.parameter(list(kind.shape), _TYPES[kind.dtype])
        node.output(0).set_names({name})
        self._made[name] = node.output(0)
        return node

    def result(self, name: str) -> openvino.Node:
        node = opset.result(self._made[name])
        node.output(0).set_names({name})
        return node

    def add(self, operation: Operation) -> None:
        given = self._parameters(operation)
        made = TRANSLATIONS[operation.type](*self._operands(operation), **given)
        results = made.outputs() if isinstance(made, openvino.Node) else [made]
        for output, value in zip(operation.outputs, results, strict=True):
            if tuple(value.shape) != output.type.shape:
                raise ValueError(f"{value.shape} is not the shape of {output.name}")
            self._made[output.name] = value

    def _operands(self, operation: Operation) -> list[Value | None]:
        kernel = OPERATIONS[_kernel_name(operation)]
        if kernel.variadic is not None:
            return [self._operand(bound) for bound in operation.inputs[kernel.variadic]]
        bound = {name: only(operation, name) for name in kernel.tensors}
        weight = bound.get("weight")
        if operation.type == POINTWISE and weight is not None:
            array = self._constants.array(weight)
            matrix = _constant(array.reshape(array.shape[:2]))
            return [self._operand(bound["x"]), matrix, self._operand(bound["bias"])]
        return [self._operand(each) for each in bound.values()]

    def _operand(self, argument: str | Constant | None) -> Value | None:
        if argument is None:
            return None
        if isinstance(argument, Constant):
            return _constant(self._constants.array(argument))
        if argument not in self._made:
            self._made[argument] = _constant(self._constants.array(argument))
        return self._made[argument]

    def _parameters(self, operation: Operation) -> Mapping[str, object]:
        kernel = OPERATIONS[_kernel_name(operation)]
        bound = {name: only(operation, name) for name in kernel.parameters}
        return {name: self._constants.parameter(each) for name, each in bound.items() if each is not None}


def _kernel_name(operation: Operation) -> str:
    return "linear" if operation.type == POINTWISE else operation.type


def _constant(array: Array) -> Value:
    """Large fp16 weights as they are, to be converted where they are read; the rest as fp32 or int32."""
    if array.dtype == "f2" and array.size > STREAMED_ABOVE:
        ours = array if array.flags.writeable and array.flags.c_contiguous else array.copy()
        stored = openvino.op.Constant(ours, shared_memory=True)
        converted = opset.convert(stored, openvino.Type.f32)
        converted.get_rt_info()[_AS_STORED] = ""
        return converted.output(0)
    kind = "f4" if array.dtype.kind == "f" else "?" if array.dtype.kind == "b" else "i4"
    return openvino.op.Constant(array.astype(kind)).output(0)
