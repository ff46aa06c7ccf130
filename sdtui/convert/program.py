"""A torch module as an ML Program without its weights.

Tracing and coremltools' passes need shapes, not numbers. Each large parameter is therefore replaced
by a stand-in: an array of its shape whose strides are zero, so that it takes four bytes, and whose one
value tells which parameter it stands for. What comes out is a program that names its weights, and a
conversion whose memory and time do not grow with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor, nn

from sdtui.conversion import ComputePrecision, Target
from sdtui.convert.precision import tolerates_fp16
from sdtui.convert.source import ConversionError, Source
from sdtui.runtime import Array

STAND_IN_ABOVE = 2048
"""Matrices and kernels with more elements are stood in for. Smaller ones are constants like any other,
and so are vectors: they are small, and coremltools computes with those of norms."""

NEGLIGIBLE = 2.0**-24
"""The smallest positive float16, which beside 1 is nothing in float32 either."""

_FIRST_CODE = 0x0400
"""The bits of the smallest normal float16: codes from here on survive the way to float16 and back."""

_LAST_CODE = 0x7BFF


@dataclass(frozen=True, eq=False)
class Constant:
    """What belongs in the weight file: a parameter of the torch module, or an array that arose.

    ``dtype`` is that of MIL (``fp16``, ``fp32``, ``int32``). ``operations`` are the kinds that use it.
    """

    dtype: str
    shape: tuple[int, ...]
    parameter: str | None
    value: Array | None
    operations: frozenset[str]


@dataclass(frozen=True, eq=False)
class Program:
    """A Core ML model (protobuf) whose file values are indices into ``constants``."""

    model: Any
    constants: tuple[Constant, ...]


class StandIn(np.ndarray[Any, Any]):
    """An array of one value that stays so when it is cast, and remembers what it stands for."""

    parameter: str | None = None

    def astype(self, dtype: DTypeLike, *_args: Any, **_options: Any) -> StandIn:
        return _stand_in(self.parameter, self.shape, np.asarray(self.flat[0]).astype(dtype))


def _stand_in(parameter: str | None, shape: tuple[int, ...], value: Array) -> StandIn:
    array = np.broadcast_to(value, shape).view(StandIn)
    array.parameter = parameter
    return array


def trace(source: Source, target: Target, precision: ComputePrecision) -> Program:
    """Convert ``source`` for ``target``; its weights are named, not read.

    With ``fp16`` weights and arithmetic are float16 except for what it cannot hold (see
    :mod:`sdtui.convert.precision`). Raises :class:`ConversionError`.
    """
    ct = coremltools()
    probe = source.probes[0]
    with _stand_ins(source.module) as codes, _checked_once(), warnings.catch_warnings():
        # torch calls tracing deprecated; coremltools warns of untested versions. Accuracy is measured.
        warnings.simplefilter("ignore")
        examples = tuple(torch.from_numpy(array) for array in probe.values())
        with torch.no_grad():
            traced = torch.jit.trace(source.module, examples, check_trace=False)  # type: ignore[no-untyped-call]
        _register_passes()["recognise_stand_ins"].codes = codes
        pipeline = ct.PassPipeline.DEFAULT
        pipeline.remove_passes({"common::fuse_conv_scale"})  # it would compute with a weight
        if precision == "fp16":
            pipeline.insert_pass(pipeline.passes.index("common::add_fp16_cast"), "sdtui::cast_to_fp16")
        pipeline.insert_pass(0, "sdtui::recognise_stand_ins")
        made = pipeline.passes.index("common::fuse_elementwise_to_batchnorm")
        pipeline.insert_pass(made + 1, "sdtui::scale_exactly")
        program = ct.convert(
            traced,
            convert_to="milinternal",
            pass_pipeline=pipeline,
            minimum_deployment_target=ct.target[target],
            inputs=[ct.TensorType(name, array.shape, dtype=array.dtype) for name, array in probe.items()],
            outputs=[ct.TensorType(name, dtype=np.float32) for name in source.outputs],
            compute_precision=ct.precision.FLOAT32,  # takes coremltools' own cast out of the pipeline
        )
        del traced
        exported = _export(program, ct.target[target].value)
    program.validate()
    return exported


@contextmanager
def _checked_once() -> Iterator[None]:
    """Keep coremltools from checking the whole program after each of its hundred passes, which takes a
    third of its time; the caller checks at the end."""
    coremltools()
    from coremltools.converters.mil.mil.program import Program as MILProgram

    check = MILProgram.validate
    MILProgram.validate = lambda *_, **__: None
    try:
        yield
    finally:
        MILProgram.validate = check


@contextmanager
def _stand_ins(module: nn.Module) -> Iterator[Mapping[float, tuple[str, tuple[int, ...]]]]:
    """Replace parameters for a while, small ones by float32 copies; yields what each code stands for."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    replaced: dict[int, nn.Parameter] = {}
    codes: dict[float, tuple[str, tuple[int, ...]]] = {}
    originals = []
    for owner in module.modules():
        for leaf, parameter in owner._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in replaced:
                value: Tensor = parameter.detach()
                if value.numel() > STAND_IN_ABOVE and value.dim() > 1:
                    code = _code(len(codes))
                    codes[code] = names[id(parameter)], tuple(value.shape)
                    value = torch.tensor([code]).as_strided(value.shape, [0] * value.dim())
                replaced[id(parameter)] = nn.Parameter(value.float(), requires_grad=False)
            originals.append((owner, leaf, parameter))
    for owner, leaf, parameter in originals:
        owner._parameters[leaf] = replaced[id(parameter)]
    try:
        yield codes
    finally:
        for owner, leaf, parameter in originals:
            owner._parameters[leaf] = parameter


def _code(index: int) -> float:
    bits = _FIRST_CODE + index
    if bits > _LAST_CODE:
        raise ConversionError("the network cannot be converted", f"it has more than {index} weights", "")
    return float(np.array(bits, np.uint16).view(np.float16))


def _export(program: Any, specification_version: int) -> Program:
    """The program as protobuf, with every large constant set aside."""
    from coremltools.converters.mil.backend.mil import load
    from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipeline, PassPipelineManager

    PassPipelineManager.apply_pipeline(program, PassPipeline.get_pipeline("backend_mlprogram"))
    constants: list[Constant] = []

    class Exporter(load.MILProtoExporter):  # type: ignore[misc]
        def create_file_value(self, var: Any) -> Any:
            dtype, index = load.types_to_proto_primitive(var.sym_type.get_primitive()), len(constants)
            constants.append(_constant(var))
            return load.create_file_value_tensor(
                file_name="@model_path/weights/weight.bin", offset=index, dim=var.val.shape, data_type=dtype
            )

    exported = Exporter(program, "", specification_version).export()
    model = load.CoreMLProtoExporter(
        program, exported, "", "", None, "mlprogram", "pytorch", specification_version
    ).export(specification_version)
    return Program(model, tuple(constants))


def _constant(var: Any) -> Constant:
    from coremltools.converters.mil.mil.types.type_mapping import builtin_to_string

    value: Array = var.val
    parameter = value.parameter if isinstance(value, StandIn) else None
    if parameter is None and value.size > STAND_IN_ABOVE and _is_stand_in(value):
        raise ConversionError(
            "the network cannot be converted",
            f"a pass of coremltools computed with the weight {var.name}",
            "report this with the name of the model",
        )
    return Constant(
        dtype=builtin_to_string(var.dtype),
        shape=tuple(value.shape),
        parameter=parameter,
        value=None if parameter else np.ascontiguousarray(value),
        operations=frozenset(operation.op_type for operation in var.child_ops),
    )


def _is_stand_in(value: Array) -> bool:
    """Whether this is what something made of a stand-in: its number everywhere."""
    first = value.flat[0]
    return float(first) in _register_passes()["recognise_stand_ins"].codes and bool((value == first).all())


@cache
def _register_passes() -> Mapping[str, Any]:
    """Our passes, by name, added to those of coremltools."""
    ct = coremltools()
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
    from coremltools.converters.mil.mil.passes.pass_registry import register_pass

    class recognise_stand_ins(AbstractGraphPass):  # type: ignore[misc]  # noqa: N801 — the pass's name
        """Give the arrays of one value, which torch's frontend made of them, their names back."""

        codes: Mapping[float, tuple[str, tuple[int, ...]]]

        def apply(self, program: Any) -> None:
            for function in program.functions.values():
                for operation in function.operations:
                    if operation.op_type == "const":
                        self._name(operation)

        def _name(self, operation: Any) -> None:
            value = operation.outputs[0].val
            if not isinstance(value, np.ndarray) or value.size <= STAND_IN_ABOVE or any(value.strides):
                return
            parameter, shape = self.codes.get(float(value.flat[0]), (None, ()))
            if shape == value.shape:
                named = _stand_in(parameter, value.shape, np.asarray(value.flat[0]))
                _set_constant(operation, named)

    class scale_exactly(AbstractGraphPass):  # type: ignore[misc]  # noqa: N801
        """Take the epsilon from where coremltools made a batch norm of a scale and a shift.

        It leaves 1e-5 beside a variance of 1, so that each group norm comes out 5e-6 too small.
        """

        def apply(self, program: Any) -> None:
            for function in program.functions.values():
                for operation in function.operations:
                    if operation.op_type == "batch_norm" and (operation.variance.val == 1).all():
                        _set_constant(operation.epsilon.op, np.float32(NEGLIGIBLE))

    class cast_to_fp16(ct.transform.FP16ComputePrecision):  # type: ignore[misc, name-defined]  # noqa: N801
        """coremltools' pass; it looks for values too large for float16 everywhere but in stand-ins."""

        def __init__(self) -> None:
            super().__init__(op_selector=tolerates_fp16)

        def fp16_overflow(self, operation: Any) -> bool:
            inputs = [var for value in operation.inputs.values() for var in _flat(value)]
            if any(isinstance(var.val, StandIn) for var in inputs):
                return False
            return bool(ct.transform.FP16ComputePrecision.fp16_overflow(operation))

    passes = {each.__name__: each for each in (recognise_stand_ins, scale_exactly, cast_to_fp16)}
    for each in passes.values():
        register_pass(namespace="sdtui")(each)
    return passes


def _set_constant(operation: Any, value: Array | np.float32) -> None:
    operation.outputs[0]._sym_val.val = value
    operation.val._sym_val.val = value


def _flat(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


@cache
def coremltools() -> Any:
    """Import coremltools, without its remarks on versions that it has not been tested with."""
    import logging

    logging.getLogger("coremltools").setLevel(logging.ERROR)
    try:
        import coremltools
    except ImportError as error:
        raise ConversionError(
            "models cannot be converted here",
            "coremltools has no wheel for this platform or this Python",
            "convert on macOS or Linux x86-64 with Python 3.11 to 3.13",
        ) from error
    return coremltools
