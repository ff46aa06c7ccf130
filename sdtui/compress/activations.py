"""Activations in 8 bits: what goes into a layer is rounded to 256 steps of one size (W8A8).

The step of each layer is chosen by what really goes into it; layers that suffer keep their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sdtui.compress.analysis import Bench
from sdtui.compress.layers import Change, Layer, fake_int8
from sdtui.compress.noise import from_decibels
from sdtui.compress.request import CompressionError
from sdtui.conversion import Target
from sdtui.convert.encoding.encodings import Linear
from sdtui.convert.program import Program
from sdtui.diffusion.errors import Cancelled
from sdtui.runtime.portable.schema import MIL_DTYPES

SHRUNK = (1.0, 0.85, 0.7, 0.55, 0.4)
"""Parts of the largest magnitude that are tried as the range: a few cut off may serve the many."""

_INT8 = {name: code for code, name in MIL_DTYPES.items()}["int8"]
_HALF_BELOW = 2.0**-24
"""The smallest float16 above zero, which a step may not fall below."""


def steps(bench: Bench) -> dict[Layer, float]:
    """For each layer the step with the least squared error over its inputs in all samples."""
    largest = dict.fromkeys(bench.network.layers, 0.0)
    for run in bench.copies():
        for layer in bench.network.layers:
            run.advance(layer)
            largest[layer] = max(largest[layer], float(run.input(layer).abs().max()))
    candidates = {
        layer: [float(np.float16(max(part * top / 127, _HALF_BELOW))) for part in SHRUNK]
        for layer, top in largest.items()
    }
    errors = {layer: np.zeros(len(SHRUNK)) for layer in largest}
    for run in bench.copies():
        for layer in bench.network.layers:
            run.advance(layer)
            values = run.input(layer)
            errors[layer] += [
                float((fake_int8(values, step) - values).square().sum()) for step in candidates[layer]
            ]
    return {layer: candidates[layer][int(np.argmin(errors[layer]))] for layer in largest}


def tolerant(
    bench: Bench,
    layer_psnr: float,
    on_fraction: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[Layer, float]:
    """The layers, with their steps, that alone in W8A8 leave at least ``layer_psnr`` dB at the output.

    Raises :class:`Cancelled` before the next layer once ``cancelled`` says so.
    """
    limit = from_decibels(layer_psnr)
    chosen = {}
    for done, (layer, step) in enumerate(steps(bench).items(), 1):
        if cancelled():
            raise Cancelled
        for run in bench.runs:
            run.advance(layer)
        change = Change(bench.stored(layer, Linear(8)).weight, step)
        if bench.noise({layer: change}) <= limit:
            chosen[layer] = step
        on_fraction(done / len(bench.network.layers))
    return chosen


def require_quantize(target: Target) -> None:
    """Raises :class:`CompressionError` for a target without the operations that this takes."""
    if target == "macOS13":
        raise CompressionError(
            "activations cannot be 8 bits",
            "the network was converted for macOS13",
            "convert it with --min-deployment-target macOS14",
        )


def quantize_inputs(program: Program, target: Target, chosen: Mapping[str, float]) -> Program:
    """The program with ``quantize`` and ``dequantize`` before the layers named by their results.

    Values are the steps. Layers that read the same value in the same steps share its rounding. Raises
    :class:`CompressionError` for a target that has no such operations.
    """
    from coremltools.proto import Model_pb2

    require_quantize(target)
    model = Model_pb2.Model()
    model.CopyFrom(program.model)
    function = model.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    types = {value.name: value.type for value in function.inputs}
    originals = list(block.operations)
    rounded: dict[tuple[str, float], str] = {}
    written = []
    for operation in originals:
        types.update({output.name: output.type for output in operation.outputs})
        step = chosen.get(operation.outputs[0].name)
        if step is not None and operation.type != "const":
            argument = operation.inputs["x"].arguments[0]
            key = argument.name, step
            if key not in rounded:
                rounded[key] = f"{argument.name}_rounded_{len(rounded)}"
                written += _rounding(argument.name, rounded[key], types[argument.name], step)
            argument.name = rounded[key]
        written.append(operation)
    copies = [_copy(operation) for operation in written]
    del block.operations[:]
    block.operations.extend(copies)
    return Program(model, program.constants)


def _rounding(name: str, result: str, kind: Any, step: float) -> list[Any]:
    """The operations that make ``result`` of ``name``: the multiples of ``step``."""
    from coremltools.converters.mil.backend.mil.helper import create_scalar_value
    from coremltools.proto import MIL_pb2

    half = MIL_DTYPES[kind.tensorType.dataType] == "fp16"
    integers = MIL_pb2.ValueType()
    integers.CopyFrom(kind)
    integers.tensorType.dataType = _INT8
    scale = _const(f"{result}_scale", create_scalar_value(np.float16(step) if half else np.float32(step)))
    dtype = _const(f"{result}_dtype", create_scalar_value("int8"))
    quantize = MIL_pb2.Operation(type="quantize")
    quantize.inputs["input"].arguments.add().name = name
    quantize.inputs["scale"].arguments.add().name = f"{result}_scale"
    quantize.inputs["output_dtype"].arguments.add().name = f"{result}_dtype"
    quantize.outputs.add(name=f"{result}_int8", type=integers)
    quantize.attributes["name"].CopyFrom(create_scalar_value(f"{result}_int8"))
    dequantize = MIL_pb2.Operation(type="dequantize")
    dequantize.inputs["input"].arguments.add().name = f"{result}_int8"
    dequantize.inputs["scale"].arguments.add().name = f"{result}_scale"
    dequantize.outputs.add(name=result, type=kind)
    dequantize.attributes["name"].CopyFrom(create_scalar_value(result))
    return [scale, dtype, quantize, dequantize]


def _const(name: str, value: Any) -> Any:
    from coremltools.converters.mil.backend.mil.helper import create_scalar_value
    from coremltools.proto import MIL_pb2

    operation = MIL_pb2.Operation(type="const")
    operation.outputs.add(name=name, type=value.type)
    operation.attributes["name"].CopyFrom(create_scalar_value(name))
    operation.attributes["val"].CopyFrom(value)
    return operation


def _copy(operation: Any) -> Any:
    copy = type(operation)()
    copy.CopyFrom(operation)
    return copy
