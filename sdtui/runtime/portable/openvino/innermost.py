"""Tokens as rows: what a program has as (N, C, 1, S), for the Neural Engine's sake, with channels last.

Apple's split einsum writes every linear layer as a convolution over a picture one pixel high, and
every layer norm over its channels. A compiler for processors knows these only over the last axis.
The pass moves whole regions there: an axis is moved where a region begins, and back where it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import prod

from sdtui.runtime.portable.constants import Constants, is_constant
from sdtui.runtime.portable.fusion.graph import constant
from sdtui.runtime.portable.program import Argument, Function, Operation, Output, TensorType, Value, only

POINTWISE = "pointwise"
"""Not in MIL: x (..., I) times weight (O, I, 1, ...), plus bias (O)."""

_ELEMENTWISE = frozenset({"gelu", "relu", "sigmoid", "silu", "tanh", "add", "sub", "mul", "real_div"})
_REGROUPING = frozenset({"reshape", "expand_dims", "squeeze"})
_SUFFIX = " innermost"


def channels_innermost(function: Function, constants: Constants) -> Function:
    """The same function; its inputs, outputs and constants keep their names and layouts."""
    regions = _Regions(constants, {value.name: value.type for value in function.inputs})
    for operation in function.operations:
        regions.take(operation)
    regions.outermost(function.outputs)
    return replace(function, operations=tuple(regions.operations))


@dataclass
class _Regions:
    """What has been written so far. A value may be there with channels on axis 1, last, or both."""

    constants: Constants
    types: dict[str, TensorType]
    operations: list[Operation] = field(default_factory=list)
    producers: dict[str, Operation] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    def take(self, operation: Operation) -> None:
        """Write one operation of the program, with channels last where that is better."""
        for output in operation.outputs:
            self.types[output.name] = output.type
            self.producers[output.name] = operation
        if is_constant(operation):
            self.operations.append(operation)
            return
        moved = self._moved(operation)
        if moved is not None:
            self._write(moved)
            return
        self.outermost(bound for each in operation.inputs.values() for bound in each)
        self._write(operation)

    def outermost(self, arguments: Iterable[str | Value]) -> None:
        """Have these with channels on axis 1, where the program has them."""
        for name in arguments:
            if isinstance(name, str) and name + _SUFFIX in self._made and name not in self._made:
                kind = self.types[name]
                axes = (0, len(kind.shape) - 1, *range(1, len(kind.shape) - 1))
                self._write(_transpose(name + _SUFFIX, axes, Output(name, kind)))

    def _write(self, operation: Operation) -> None:
        self.operations.append(operation)
        self._made.update(output.name for output in operation.outputs)

    def _moved(self, operation: Operation) -> Operation | None:
        rule = {
            "conv": self._conv,
            "layer_norm": self._layer_norm,
            "split": self._along_channels,
            "concat": self._along_channels,
            "transpose": self._transposed,
            "scaled_dot_product_attention": self._attention,
            **dict.fromkeys(_ELEMENTWISE, self._elementwise),
            **dict.fromkeys(_REGROUPING, self._regrouped),
        }.get(operation.type)
        return rule(operation) if rule is not None else None

    def _conv(self, conv: Operation) -> Operation | None:
        """A convolution of one cell at a time, over what is but a row."""
        x, weight = only(conv, "x"), only(conv, "weight")
        if not isinstance(x, str) or weight is None or weight not in self.constants or not self._in_a_row(x):
            return None
        kernel = (self.types[weight] if isinstance(weight, str) else weight.type).shape[2:]
        if set(kernel) != {1} or not self._is_plain(conv):
            return None
        inputs: dict[str, Argument] = {"x": (self._innermost(x),), "weight": (weight,)}
        kept = {name: conv.inputs[name] for name in ("bias", "activation") if name in conv.inputs}
        return Operation(POINTWISE, inputs | kept, self._last(conv.outputs))

    def _is_plain(self, conv: Operation) -> bool:
        """Without strides, groups or padding. What ``pad`` says counts under "custom" alone."""
        given = {
            name: self.constants.parameter(bound)
            for name in ("strides", "groups", "pad_type", "pad")
            if (bound := only(conv, name)) is not None
        }
        padded = given.get("pad_type") == "custom" and any(given.get("pad", ()))
        return set(given.get("strides", ())) <= {1} and given.get("groups", 1) == 1 and not padded

    def _layer_norm(self, norm: Operation) -> Operation | None:
        x, axes = only(norm, "x"), only(norm, "axes")
        if not isinstance(x, str) or axes is None or self.constants.parameter(axes) != (1,):
            return None
        if len(self.types[x].shape) != 4:
            return None
        last: Argument = (constant((-1,), "int32"),)
        inputs = {**norm.inputs, "x": (self._innermost(x),), "axes": last}
        return Operation(norm.type, inputs, self._last(norm.outputs))

    def _elementwise(self, operation: Operation) -> Operation | None:
        operands = {name: only(operation, name) for name in ("x", "y") if name in operation.inputs}
        if not any(self._is_last(operand) for operand in operands.values()):
            return None
        moved: dict[str, Argument] = {}
        for name, operand in operands.items():
            if operand is None:
                return None
            if isinstance(operand, str) and operand in self.types and operand not in self.constants:
                if self.types[operand].shape != operation.outputs[0].type.shape:
                    return None
                moved[name] = (self._innermost(operand),)
            elif self._is_one_number(operand):
                moved[name] = (operand,)
            else:
                return None
        return Operation(operation.type, {**operation.inputs, **moved}, self._last(operation.outputs))

    def _along_channels(self, operation: Operation) -> Operation | None:
        """A split into, or a concatenation of, channels."""
        name = "x" if operation.type == "split" else "values"
        values, axis = operation.inputs.get(name, ()), only(operation, "axis")
        interleave = only(operation, "interleave")
        if axis is None or self.constants.parameter(axis) != 1:
            return None
        if interleave is not None and self.constants.parameter(interleave):
            return None
        if not values or not all(self._is_last(value) for value in values):
            return None
        moved = tuple(self._innermost(str(value)) for value in values)
        last: Argument = (constant(-1, "int32"),)
        return Operation(
            operation.type, {**operation.inputs, name: moved, "axis": last}, self._last(operation.outputs)
        )

    def _transposed(self, transpose: Operation) -> Operation | None:
        x, perm = only(transpose, "x"), only(transpose, "perm")
        if not isinstance(x, str) or not self._is_last(x) or perm is None:
            return None
        axes = _through(self.constants.parameter(perm), len(self.types[x].shape))
        return _transpose(x + _SUFFIX, axes, transpose.outputs[0])

    def _attention(self, attention: Operation) -> Operation | None:
        operands = {name: only(attention, name) for name in ("query", "key", "value")}
        result = only(attention, "result_axes")
        if not any(self._is_last(each) for each in operands.values()) or result is None:
            return None
        inputs = dict(attention.inputs)
        for name, operand in operands.items():
            axes = only(attention, f"{name}_axes")
            if isinstance(operand, str) and self._is_last(operand) and axes is not None:
                moved = _through(self.constants.parameter(axes), len(self.types[operand].shape))
                inputs[name] = (operand + _SUFFIX,)
                inputs[f"{name}_axes"] = (constant(moved, "int32"),)
            elif operand is not None:
                self.outermost([operand])
        axes = self.constants.parameter(result)
        rank = len(axes)
        last_axes = tuple(axes[axis] for axis in (0, *range(2, rank), 1))
        inputs["result_axes"] = (constant(last_axes, "int32"),)
        return Operation(attention.type, inputs, self._last(attention.outputs))

    def _regrouped(self, operation: Operation) -> Operation | None:
        """Other spatial axes behind the same channels."""
        x = only(operation, "x")
        if not isinstance(x, str) or not self._is_last(x) or not self._keeps_channels(operation):
            return None
        return self._reshaped(x + _SUFFIX, operation.outputs[0])

    def _innermost(self, name: str) -> str:
        """The value with its channels last, written where it is not there yet."""
        last, kind = name + _SUFFIX, self.types[name]
        if last in self._made:
            return last
        producer = self.producers.get(name)
        before = only(producer, "x")
        regrouped = producer is not None and producer.type in _REGROUPING and self._keeps_channels(producer)
        if regrouped and isinstance(before, str) and before in self.types:
            self._write(self._reshaped(self._innermost(before), Output(name, kind)))
            return last
        axes = (0, *range(2, len(kind.shape)), 1)
        self._write(_transpose(name, axes, Output(last, _last(kind))))
        return last

    def _reshaped(self, source: str, output: Output) -> Operation:
        kind = _last(output.type)
        inputs: dict[str, Argument] = {"x": (source,), "shape": (constant(kind.shape, "int32"),)}
        return Operation("reshape", inputs, (Output(output.name + _SUFFIX, kind),))

    def _keeps_channels(self, operation: Operation) -> bool:
        x = only(operation, "x")
        before = self.types[x].shape if isinstance(x, str) and x in self.types else ()
        after = operation.outputs[0].type.shape
        if None in before + after or min(len(before), len(after)) < 3 or before[:2] != after[:2]:
            return False
        return prod(size or 0 for size in before) == prod(size or 0 for size in after)

    def _in_a_row(self, x: str) -> bool:
        """Whether it is there with channels last, or its spatial axes are but one."""
        shape = self.types[x].shape
        return self._is_last(x) or (len(shape) == 4 and None not in shape and shape[2] == 1)

    def _is_last(self, argument: str | Value | None) -> bool:
        return isinstance(argument, str) and argument + _SUFFIX in self._made

    def _is_one_number(self, argument: str | Value) -> bool:
        kind = self.types.get(argument) if isinstance(argument, str) else argument.type
        return argument in self.constants and kind is not None and prod(n or 0 for n in kind.shape) == 1

    def _last(self, outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        return tuple(Output(output.name + _SUFFIX, _last(output.type)) for output in outputs)


def _last(kind: TensorType) -> TensorType:
    samples, channels, *spatial = kind.shape
    return TensorType(kind.dtype, (samples, *spatial, channels))


def _through(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes of a value, counted where its channels are last."""
    return tuple((0, rank - 1, *range(1, rank - 1))[axis % rank] for axis in axes)


def _transpose(x: str, axes: tuple[int, ...], output: Output) -> Operation:
    return Operation("transpose", {"x": (x,), "perm": (constant(axes, "int32"),)}, (output,))
