"""Group norm, which converters write as its parts."""

from __future__ import annotations

import numpy as np

from sdtui.runtime.portable.fusion.graph import Graph, constant
from sdtui.runtime.portable.program import Operation, only


def group_norm(last: Operation, graph: Graph) -> Operation | None:
    """reshape to groups, (x - mean) / sqrt(mean of squares + epsilon), reshape back."""
    divide = graph.producer(only(last, "x"), "real_div")
    centred = graph.producer(only(divide, "x"), "sub")
    shifted = graph.producer(only(graph.producer(only(divide, "y"), "sqrt"), "x"), "add")
    variance = graph.producer(only(shifted, "x"), "reduce_mean")
    square = graph.producer(only(variance, "x"), "square")
    mean = graph.producer(only(centred, "y"), "reduce_mean")
    first = graph.producer(only(centred, "x"), "reshape")
    if first is None or graph.producer(only(mean, "x"), "reshape") is not first:
        return None
    if centred is None or graph.producer(only(square, "x"), "sub") is not centred:
        return None
    x, epsilon = only(first, "x"), graph.constant(only(shifted, "y"))
    if x is None or not isinstance(epsilon, float):
        return None
    shape = last.outputs[0].type.shape
    groups = _groups(graph.shape(x), first.outputs[0].type.shape, shape)
    if groups is None:
        return None
    axes = set(range(2, len(first.outputs[0].type.shape)))
    for reduction in (mean, variance):
        if set(graph.constant(only(reduction, "axes")) or ()) != axes:
            return None
        if graph.constant(only(reduction, "keep_dims")) is not True:
            return None
    return Operation(
        "group_norm",
        {
            "x": (graph.source(x),),
            "groups": (constant(groups, "int32"),),
            "epsilon": (constant(epsilon, "fp32"),),
            "shape": (constant(shape, "int32"),),
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


def group_norm_with_affine(batch_norm: Operation, graph: Graph) -> Operation | None:
    """A batch norm of mean 0 and variance 1 after a group norm: the scale and shift of its channels."""
    norm = graph.producer(only(batch_norm, "x"), "group_norm")
    gamma, beta = only(batch_norm, "gamma"), only(batch_norm, "beta")
    if norm is None or "gamma" in norm.inputs or gamma is None or beta is None:
        return None
    mean, variance = (graph.constant(only(batch_norm, name)) for name in ("mean", "variance"))
    scale, epsilon = graph.constant(gamma), graph.constant(only(batch_norm, "epsilon"))
    if mean is None or variance is None or scale is None or not isinstance(epsilon, float):
        return None
    if any(mean) or any(value != 1 for value in variance):
        return None
    # The program divides by sqrt(1 + epsilon) here too, so we must.
    scaled = (np.array(scale) / np.sqrt(1 + epsilon)).astype(np.float32)
    return Operation(
        "group_norm",
        {**norm.inputs, "gamma": (constant(scaled, "fp32"),), "beta": (beta,)},
        batch_norm.outputs,
    )
