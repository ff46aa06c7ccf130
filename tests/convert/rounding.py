"""What a program gives where every value that it declares as float16 is one.

The portable runtime computes such values in float32, which hides an overflow that Core ML would show.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from sdtui.convert.accuracy import psnr
from sdtui.convert.source import Source
from sdtui.runtime import Array
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.executor import begin, perform, results
from sdtui.runtime.portable.package import open_package
from sdtui.runtime.portable.plan import prepare


def predict_rounded(package: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run once; each operation's result is rounded to the type that the program declares for it."""
    opened = open_package(package)
    function = opened.model.function
    plan = prepare(function, Constants(opened, function, torch.device("cpu")), None)
    declared = {
        f"{operation.type} {operation.name}": [output.type.dtype for output in operation.outputs]
        for operation in function.operations
    }
    registers = begin(plan, {name: torch.from_numpy(array) for name, array in inputs.items()})
    for step in plan.steps:
        perform(step, registers)
        for slot, dtype in zip(step.outputs, declared[step.operation], strict=True):
            value = registers[slot]
            if dtype == "fp16" and isinstance(value, torch.Tensor):
                registers[slot] = value.half().float()
    return {name: value.numpy() for name, value in results(plan, registers).items()}


def measure_rounded(source: Source, package: Path) -> float:
    """The lowest PSNR in dB over all probes and outputs."""
    ratios = []
    for probe in source.probes:
        expected, found = source.predict(probe), predict_rounded(package, probe)
        ratios += [psnr(expected[name], found[name]) for name in source.outputs]
    return min(ratios)
