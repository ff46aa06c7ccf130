"""Activations, which converters write as their parts, and behind the layer that they belong to."""

from __future__ import annotations

from sdtui.runtime.portable.fusion.graph import Graph, constant, either
from sdtui.runtime.portable.program import Operation, only

_LAYERS = ("conv", "linear", "group_norm")


def silu(multiply: Operation, graph: Graph) -> Operation | None:
    """x sigmoid(x)."""
    for factor, gate in either(multiply):
        sigmoid = graph.producer(gate, "sigmoid")
        if sigmoid is not None and only(sigmoid, "x") == factor:
            return Operation("silu", {"x": (factor,)}, multiply.outputs)
    return None


def activated(activation: Operation, graph: Graph) -> Operation | None:
    """A layer and the activation behind it, where nobody else reads what the layer gives."""
    x = only(activation, "x")
    layer = graph.producers.get(x) if isinstance(x, str) else None
    if layer is None or layer.type not in _LAYERS or "activation" in layer.inputs:
        return None
    mode = graph.constant(only(activation, "mode")) if activation.type == "gelu" else None
    if graph.readers[layer.name] != 1 or mode not in (None, "EXACT"):
        return None
    return Operation(
        layer.type, {**layer.inputs, "activation": (constant(activation.type, "string"),)}, activation.outputs
    )
