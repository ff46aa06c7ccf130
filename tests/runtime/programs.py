"""Programs written by hand with coremltools' MIL builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
from coremltools.converters.mil import Builder
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
