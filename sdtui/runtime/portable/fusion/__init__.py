"""Rewriting of a program's graph: chains of operations that torch has as one.

Converters write group norm, attention and silu as their parts. Fused, attention needs memory in
proportion to the tokens instead of their square, and group norm reads its input once. A rule looks
at the last operation of its chain, and replaces that; what only the chain needed is then dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.fusion.activation import activated, silu
from sdtui.runtime.portable.fusion.attention import einsum_attention, matmul_attention
from sdtui.runtime.portable.fusion.graph import Graph
from sdtui.runtime.portable.fusion.heads import heads
from sdtui.runtime.portable.fusion.normalisation import group_norm, group_norm_with_affine
from sdtui.runtime.portable.program import Function, Operation

Rule = Callable[[Operation, Graph], Operation | None]
_RULES: dict[str, Rule] = {
    "mul": silu,
    "reshape": group_norm,
    "batch_norm": group_norm_with_affine,
    "matmul": matmul_attention,
    "einsum": einsum_attention,
    "concat": heads,
}
_ACTIVATIONS: dict[str, Rule] = {"relu": activated, "silu": activated, "gelu": activated}


def fuse(function: Function, constants: Constants) -> Function:
    """The same function with fewer operations; its inputs and outputs keep their names."""
    return _rewritten(function, constants, _RULES)


def join_activations(function: Function, constants: Constants) -> Function:
    """Activations in the layers before them, which then have the activations' names."""
    return _rewritten(function, constants, _ACTIVATIONS)


def _rewritten(function: Function, constants: Constants, rules: dict[str, Rule]) -> Function:
    graph = Graph(constants, {value.name: value.type for value in function.inputs}, {}, _readers(function))
    operations = []
    for operation in function.operations:
        rule = rules.get(operation.type)
        fused = rule(operation, graph) if rule is not None else None
        graph.add(fused or operation)
        operations.append(fused or operation)
    return replace(function, operations=_needed(operations, function.outputs))


def _readers(function: Function) -> Counter[str]:
    """How often each value is read, by operations or as an output."""
    return Counter(function.outputs) + Counter(
        name for operation in function.operations for name in _reads(operation)
    )


def _reads(operation: Operation) -> list[str]:
    return [bound for each in operation.inputs.values() for bound in each if isinstance(bound, str)]


def _needed(operations: list[Operation], outputs: tuple[str, ...]) -> tuple[Operation, ...]:
    """Without the operations whose results nobody reads."""
    read = set(outputs)
    kept = []
    for operation in reversed(operations):
        if any(output.name in read for output in operation.outputs):
            kept.append(operation)
            read.update(_reads(operation))
    return tuple(reversed(kept))
