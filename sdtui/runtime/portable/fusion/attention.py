"""Attention, which converters write as products and a softmax.

Each rule makes a ``scaled_dot_product_attention`` that says how the axes of its arguments lie, so
that nothing is moved: heads may be an axis, or of size 1 where a program has each head for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdtui.runtime.portable.fusion.graph import Argument, Graph, constant, either
from sdtui.runtime.portable.program import Operation, only

Axes = tuple[int, int, int, int]
_STRAIGHT: Axes = (0, 1, 2, 3)
_SWAPPED: Axes = (0, 1, 3, 2)
_SCORES = "bkhc,bchq->bkhq"
_RESULT = "bchk,bkhq->bchq"
"""What Apple's split einsum multiplies: key and query, value and weights. MIL takes no other order."""


@dataclass(frozen=True)
class _Weights:
    """softmax(product of query and key x scale + mask)."""

    product: Operation
    scale: float
    mask: Argument | None


def matmul_attention(product: Operation, graph: Graph) -> Operation | None:
    """softmax(query key^T scale + mask) value, or its transpose value^T softmax(...)^T."""
    for weights_side, value_side in (("x", "y"), ("y", "x")):
        value, flipped = only(product, value_side), weights_side == "y"
        weights = _weights(only(product, weights_side), "matmul", 3, graph)
        if weights is None or value is None or _is(product, f"transpose_{weights_side}", graph) != flipped:
            continue
        scores = weights.product
        query, key = only(scores, "x"), only(scores, "y")
        if query is None or key is None or not _batches_agree(graph, query, key, value):
            continue
        if scores.outputs[0].type.dtype != product.outputs[0].type.dtype:
            continue
        value_transposed = _is(product, f"transpose_{value_side}", graph) != flipped
        return Operation(
            "scaled_dot_product_attention",
            {
                "query": (query,),
                "key": (key,),
                "value": (value,),
                "scale": (constant(weights.scale, "fp32"),),
                "query_axes": (_axes(_SWAPPED if _is(scores, "transpose_x", graph) else _STRAIGHT),),
                "key_axes": (_axes(_STRAIGHT if _is(scores, "transpose_y", graph) else _SWAPPED),),
                "value_axes": (_axes(_SWAPPED if value_transposed else _STRAIGHT),),
                "result_axes": (_axes(_SWAPPED if flipped else _STRAIGHT),),
                **({"attn_mask": (weights.mask,)} if weights.mask is not None else {}),
            },
            product.outputs,
        )
    return None


def einsum_attention(product: Operation, graph: Graph) -> Operation | None:
    """Apple's split einsum, one head: channels (B, C, 1, Q) and (B, C, 1, K), scores (B, K, 1, Q)."""
    value, softmax = _operands(product, _RESULT, graph)
    weights = _weights(softmax, "einsum", 1, graph)
    if weights is None or weights.mask is not None:
        return None
    key, query = _operands(weights.product, _SCORES, graph)
    if value is None or key is None or query is None:
        return None
    if weights.product.outputs[0].type.dtype != product.outputs[0].type.dtype:
        return None
    return Operation(
        "scaled_dot_product_attention",
        {
            "query": (query,),
            "key": (key,),
            "value": (value,),
            "scale": (constant(weights.scale, "fp32"),),
            "query_axes": (_axes((0, 2, 3, 1)),),
            "key_axes": (_axes((0, 2, 1, 3)),),
            "value_axes": (_axes((0, 2, 3, 1)),),
            "result_axes": (_axes((0, 3, 1, 2)),),
        },
        product.outputs,
    )


def _weights(argument: Argument | None, product: str, axis: int, graph: Graph) -> _Weights | None:
    """A softmax over ``axis`` of four, an optional mask before it and before that an optional scale."""
    softmax = graph.producer(argument, "softmax")
    if softmax is None or graph.constant(only(softmax, "axis")) not in (axis, axis - 4):
        return None
    if len(softmax.outputs[0].type.shape) != 4:
        return None
    scores, mask = only(softmax, "x"), None
    for behind, other in either(graph.producer(scores, "add")):
        if graph.producer(behind, product) or graph.producer(behind, "mul"):
            scores, mask = behind, other
            break
    scale = 1.0
    for behind, other in either(graph.producer(scores, "mul")):
        factor = graph.constant(other)
        if isinstance(factor, float):
            scores, scale = behind, factor
            break
    multiplied = graph.producer(scores, product)
    return None if multiplied is None else _Weights(multiplied, scale, mask)


def _operands(einsum: Operation, equation: str, graph: Graph) -> tuple[Argument | None, Argument | None]:
    """The two values that an einsum of this equation multiplies; none of another."""
    values = einsum.inputs.get("values", ())
    if graph.constant(only(einsum, "equation")) != equation or len(values) != 2:
        return None, None
    return values[0], values[1]


def _is(operation: Operation, flag: str, graph: Graph) -> bool:
    return bool(graph.constant(only(operation, flag)))


def _axes(axes: Axes) -> Argument:
    return constant(axes, "int32")


def _batches_agree(graph: Graph, *arguments: Argument) -> bool:
    """Whether all have the same known sizes but for the last two axes, and four axes in all."""
    batches = {graph.shape(argument)[:-2] for argument in arguments}
    return len(batches) == 1 and all(len(batch) == 2 and None not in batch for batch in batches)
