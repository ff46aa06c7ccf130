"""Rewriting of a program's graph: chains of operations that torch has as one.

Converters write group norm, attention and silu as their parts. Fused, attention needs memory in
proportion to the tokens instead of their square, and group norm reads its input once. A rule looks
at the last operation of its chain, and replaces that; what only the chain needed is then dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.program import Function, Operation, TensorType, Value

Argument = str | Value


def fuse(function: Function, constants: Constants) -> Function:
    """The same function with fewer operations; its inputs and outputs keep their names."""
    graph = _Graph(constants, {value.name: value.type for value in function.inputs}, {})
    operations = []
    for operation in function.operations:
        rule = _RULES.get(operation.type)
        fused = rule(operation, graph) if rule is not None else None
        graph.add(fused or operation)
        operations.append(fused or operation)
    return replace(function, operations=_needed(operations, function.outputs))


@dataclass(frozen=True)
class _Graph:
    """What has been seen of the program: who makes a value, and of which type it is."""

    constants: Constants
    types: dict[str, TensorType]
    producers: dict[str, Operation]

    def add(self, operation: Operation) -> None:
        for output in operation.outputs:
            self.types[output.name] = output.type
            self.producers[output.name] = operation

    def source(self, argument: Argument) -> Argument:
        """The value behind casts from one float type to another."""
        while isinstance(argument, str):
            producer = self.producers.get(argument)
            if producer is None or producer.type != "cast":
                break
            before = _only(producer, "x")
            if before is None or {self.dtype(before), self.dtype(argument)} - {"fp16", "fp32"}:
                break
            argument = before
        return argument

    def producer(self, argument: Argument | None, kind: str) -> Operation | None:
        """The operation of this kind that makes a value, if one does; float casts are looked through."""
        if argument is None:
            return None
        source = self.source(argument)
        producer = self.producers.get(source) if isinstance(source, str) else None
        return producer if producer is not None and producer.type == kind else None

    def dtype(self, argument: Argument) -> str:
        kind = self.types.get(argument) if isinstance(argument, str) else argument.type
        return kind.dtype if kind is not None else ""

    def shape(self, argument: Argument) -> tuple[int | None, ...]:
        kind = self.types.get(argument) if isinstance(argument, str) else argument.type
        return kind.shape if kind is not None else (None,)

    def constant(self, argument: Argument | None) -> Any:
        """A constant as a Python number or tuple; None for anything else."""
        if argument is None or argument not in self.constants:
            return None
        return self.constants.parameter(argument)


def _only(operation: Operation | None, name: str) -> Argument | None:
    """The one value of an input, or None."""
    bound = operation.inputs.get(name, ()) if operation is not None else ()
    return bound[0] if len(bound) == 1 else None


def _silu(multiply: Operation, graph: _Graph) -> Operation | None:
    """x sigmoid(x)."""
    for x, gate in (("x", "y"), ("y", "x")):
        factor, sigmoid = _only(multiply, x), graph.producer(_only(multiply, gate), "sigmoid")
        if factor is not None and sigmoid is not None and _only(sigmoid, "x") == factor:
            return Operation("silu", {"x": (factor,)}, multiply.outputs)
    return None


def _group_norm(last: Operation, graph: _Graph) -> Operation | None:
    """reshape to groups, (x - mean) / sqrt(mean of squares + epsilon), reshape back."""
    divide = graph.producer(_only(last, "x"), "real_div")
    centred = graph.producer(_only(divide, "x"), "sub")
    shifted = graph.producer(_only(graph.producer(_only(divide, "y"), "sqrt"), "x"), "add")
    variance = graph.producer(_only(shifted, "x"), "reduce_mean")
    square = graph.producer(_only(variance, "x"), "square")
    mean = graph.producer(_only(centred, "y"), "reduce_mean")
    first = graph.producer(_only(centred, "x"), "reshape")
    if first is None or graph.producer(_only(mean, "x"), "reshape") is not first:
        return None
    if centred is None or graph.producer(_only(square, "x"), "sub") is not centred:
        return None
    x, epsilon = _only(first, "x"), graph.constant(_only(shifted, "y"))
    if x is None or not isinstance(epsilon, float):
        return None
    shape = last.outputs[0].type.shape
    groups = _groups(graph.shape(x), first.outputs[0].type.shape, shape)
    if groups is None:
        return None
    axes = set(range(2, len(first.outputs[0].type.shape)))
    for reduction in (mean, variance):
        if set(graph.constant(_only(reduction, "axes")) or ()) != axes:
            return None
        if graph.constant(_only(reduction, "keep_dims")) is not True:
            return None
    return Operation(
        "group_norm",
        {
            "x": (graph.source(x),),
            "groups": (_constant(groups, "int32"),),
            "epsilon": (_constant(epsilon, "fp32"),),
            "shape": (_constant(shape, "int32"),),
        },
        last.outputs,
    )


def _groups(
    before: tuple[int | None, ...], grouped: tuple[int | None, ...], after: tuple[int | None, ...]
) -> int | None:
    """G, when (N, C, ...) is grouped as (N, G, C / G, ...) and becomes (N, C, ...) again.

    What follows may be arranged differently each time: the statistics go over all of it.
    """
    if None in before + grouped + after or len(before) < 3 or len(grouped) < 4:
        return None
    samples, groups, each, *_ = grouped
    assert groups is not None
    assert each is not None
    channels = (samples, groups * each)
    return groups if before[:2] == channels == after[:2] else None


def _group_norm_with_affine(batch_norm: Operation, graph: _Graph) -> Operation | None:
    """A batch norm of mean 0 and variance 1 after a group norm: the scale and shift of its channels."""
    norm = graph.producer(_only(batch_norm, "x"), "group_norm")
    gamma, beta = _only(batch_norm, "gamma"), _only(batch_norm, "beta")
    if norm is None or "gamma" in norm.inputs or gamma is None or beta is None:
        return None
    mean, variance = (graph.constant(_only(batch_norm, name)) for name in ("mean", "variance"))
    scale, epsilon = graph.constant(gamma), graph.constant(_only(batch_norm, "epsilon"))
    if mean is None or variance is None or scale is None or not isinstance(epsilon, float):
        return None
    if any(mean) or any(value != 1 for value in variance):
        return None
    # The program divides by sqrt(1 + epsilon) here too, so we must.
    scaled = (np.array(scale) / np.sqrt(1 + epsilon)).astype(np.float32)
    return Operation(
        "group_norm",
        {**norm.inputs, "gamma": (_constant(scaled, "fp32"),), "beta": (beta,)},
        batch_norm.outputs,
    )


def _attention(product: Operation, graph: _Graph) -> Operation | None:
    """softmax(query key^T scale + mask) value, or its transpose value^T softmax(...)^T."""
    for weights_side, value_side in (("x", "y"), ("y", "x")):
        softmax = graph.producer(_only(product, weights_side), "softmax")
        value = _only(product, value_side)
        if softmax is None or value is None:
            continue
        flipped = weights_side == "y"
        if bool(graph.constant(_only(product, f"transpose_{weights_side}"))) != flipped:
            continue
        scores, mask, scale = _scores(_only(softmax, "x"), graph)
        if scores is None or graph.constant(_only(softmax, "axis")) not in (
            -1,
            len(softmax.outputs[0].type.shape) - 1,
        ):
            continue
        query, key = _only(scores, "x"), _only(scores, "y")
        if query is None or key is None or not _batches_agree(graph, query, key, value):
            continue
        if scores.outputs[0].type.dtype != product.outputs[0].type.dtype:
            continue
        value_transposed = bool(graph.constant(_only(product, f"transpose_{value_side}")))
        inputs: dict[str, tuple[Argument, ...]] = {
            "query": (query,),
            "key": (key,),
            "value": (value,),
            "scale": (_constant(scale, "fp32"),),
            "transpose_query": (_constant(bool(graph.constant(_only(scores, "transpose_x"))), "bool"),),
            "transpose_key": (_constant(not graph.constant(_only(scores, "transpose_y")), "bool"),),
            "transpose_value": (_constant(value_transposed != flipped, "bool"),),
            "transpose_result": (_constant(flipped, "bool"),),
        }
        if mask is not None:
            inputs["attn_mask"] = (mask,)
        return Operation("scaled_dot_product_attention", inputs, product.outputs)
    return None


def _scores(argument: Argument | None, graph: _Graph) -> tuple[Operation | None, Argument | None, float]:
    """The product of query and key behind an optional mask, and before that an optional scale."""
    mask = None
    masked = graph.producer(argument, "add")
    if masked is not None:
        for scores, other in (("x", "y"), ("y", "x")):
            behind = _only(masked, scores)
            if graph.producer(behind, "matmul") or graph.producer(behind, "mul"):
                argument, mask = behind, _only(masked, other)
                break
    scale = 1.0
    scaled = graph.producer(argument, "mul")
    if scaled is not None:
        for scores, other in (("x", "y"), ("y", "x")):
            factor = graph.constant(_only(scaled, other))
            if isinstance(factor, float):
                argument, scale = _only(scaled, scores), factor
                break
    return graph.producer(argument, "matmul"), mask, scale


def _batches_agree(graph: _Graph, *arguments: Argument) -> bool:
    """Whether all have the same known sizes but for the last two axes, and four axes in all."""
    batches = {graph.shape(argument)[:-2] for argument in arguments}
    return len(batches) == 1 and all(len(batch) == 2 and None not in batch for batch in batches)


def _constant(content: Any, dtype: str) -> Value:
    array = np.array(content)
    return Value(TensorType(dtype, array.shape), array)


def _needed(operations: list[Operation], outputs: tuple[str, ...]) -> tuple[Operation, ...]:
    """Without the operations whose results nobody reads."""
    read = set(outputs)
    kept = []
    for operation in reversed(operations):
        if any(output.name in read for output in operation.outputs):
            kept.append(operation)
            read.update(
                argument
                for bound in operation.inputs.values()
                for argument in bound
                if isinstance(argument, str)
            )
    return tuple(reversed(kept))


_RULES: dict[str, Callable[[Operation, _Graph], Operation | None]] = {
    "mul": _silu,
    "reshape": _group_norm,
    "batch_norm": _group_norm_with_affine,
    "matmul": _attention,
}
