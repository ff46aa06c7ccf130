"""Heads of attention that a program computes one after the other, brought together.

Apple's split einsum cuts query, key and value into heads, attends in each, and joins the results:
one attention that knows how many heads lie behind one another needs none of these parts.
"""

from __future__ import annotations

from sdtui.runtime.portable.fusion.graph import Argument, Graph, constant
from sdtui.runtime.portable.program import Operation, only

_ATTENTION = "scaled_dot_product_attention"
_OPERANDS = ("query", "key", "value")
_LAST = 3


def heads(concat: Operation, graph: Graph) -> Operation | None:
    """A concatenation of attentions over the parts, in order, of the same three values."""
    attentions = [graph.producers.get(str(value)) for value in concat.inputs.get("values", ())]
    first = attentions[0] if len(attentions) > 1 else None
    if first is None or first.type != _ATTENTION or "heads" in first.inputs:
        return None
    if any(each is None or _settings(each, graph) != _settings(first, graph) for each in attentions):
        return None
    if graph.constant(only(concat, "interleave")) or not _joins(concat, first, graph):
        return None
    together: dict[str, tuple[Argument, ...]] = {}
    for name in _OPERANDS:
        whole = _whole([only(each, name) for each in attentions], _axes(first, f"{name}_axes", graph), graph)
        if whole is None:
            return None
        together[name] = (whole,)
    return Operation(
        _ATTENTION,
        {**first.inputs, **together, "heads": (constant(len(attentions), "int32"),)},
        concat.outputs,
    )


def _settings(attention: Operation, graph: Graph) -> dict[str, object] | None:
    """All but the operands, where all of that is constant: a mask never is the same for two."""
    if attention.type != _ATTENTION or "attn_mask" in attention.inputs or "scale" not in attention.inputs:
        return None
    return {name: graph.constant(only(attention, name)) for name in attention.inputs.keys() - {*_OPERANDS}}


def _joins(concat: Operation, attention: Operation, graph: Graph) -> bool:
    """Whether the results are laid behind one another along their channels, of a batch with one head."""
    rank = len(concat.outputs[0].type.shape)
    axis = graph.constant(only(concat, "axis"))
    channels = _axes(attention, "result_axes", graph).index(_LAST)
    shape = concat.outputs[0].type.shape
    heads_axis = _axes(attention, "result_axes", graph).index(1)
    return rank == _LAST + 1 and axis % rank == channels and shape[heads_axis] == 1


def _whole(parts: list[Argument | None], axes: tuple[int, ...], graph: Graph) -> Argument | None:
    """What a split makes all of these parts of, in order, along the channels."""
    split = graph.producers.get(str(parts[0]))
    if split is None or split.type != "split" or [part.name for part in split.outputs] != parts:
        return None
    axis = graph.constant(only(split, "axis"))
    if axis % len(axes) != axes[_LAST] or len({part.type.shape for part in split.outputs}) != 1:
        return None
    return only(split, "x")


def _axes(attention: Operation, name: str, graph: Graph) -> tuple[int, ...]:
    return tuple(graph.constant(only(attention, name)))
