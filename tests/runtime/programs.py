"""Programs written by hand with coremltools' MIL builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name
from coremltools.converters.mil.mil import types

from sdtui.runtime import Array

_TYPES = {"float16": types.fp16, "float32": types.fp32, "int32": types.int32}


def save_program(path: Path, build: Callable[..., Any], *inputs: Array, target: str = "iOS16") -> Path:
    """Save a program as it stands, with no optimisation, in fp32.

    ``build`` takes inputs of the shapes and types of ``inputs``, and returns the outputs.
    """
    specs = [Builder.TensorSpec(array.shape, _TYPES[array.dtype.name]) for array in inputs]
    arguments = ", ".join(f"input_{index}" for index in range(len(inputs)))
    # The builder reads the names of the inputs from the signature.
    function = eval(f"lambda {arguments}: build({arguments})", {"build": build})
    opset = getattr(ct.target, target)
    program = Builder.program(input_specs=specs, opset_version=opset)(function)
    model = ct.convert(
        program,
        pass_pipeline=ct.PassPipeline.EMPTY,
        minimum_deployment_target=opset,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(path))
    return path


EVERY_CONSTANT_INPUT = np.arange(-6, 6, dtype=np.float32).reshape(1, 3, 4)


def save_every_constant(path: Path) -> Path:
    """Texts, numbers of each type, lists of arguments and of results, a number that is none, and weights."""

    def build(x: object) -> object:
        first, *rest = mb.split(x=x, num_splits=3, axis=1)
        kept = mb.select(cond=mb.greater(x=first, y=np.float32(-5)), a=first, b=np.float32(-np.inf))
        joined = mb.concat(values=[mb.softmax(x=kept), *rest], axis=1)
        padded = mb.pad(x=joined, pad=[0, 1, 2, 0], mode="constant", constant_val=np.float32(0.1))
        weighted = mb.linear(x=padded, weight=np.linspace(-1, 1, 36, dtype=np.float32).reshape(6, 6))
        half = mb.cast(x=mb.cast(x=weighted, dtype="fp16"), dtype="fp32")
        return mb.mul(x=half, y=np.float32(1e-30), name="y")

    return save_program(path, build, EVERY_CONSTANT_INPUT)
