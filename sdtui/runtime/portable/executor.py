"""Running a plan."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sdtui.runtime.portable.plan import Plan

OPERATION_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, MemoryError)
"""What torch raises when an operation is used wrongly or memory runs out."""


class StepError(Exception):
    """An operation failed; the cause says why."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


def execute(plan: Plan, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every step in order. A value's memory is given back after the last step that reads it.

    Raises :class:`StepError`.
    """
    registers = list(plan.registers)
    for name, slot in plan.inputs.items():
        registers[slot] = inputs[name]
    with torch.inference_mode():
        for step in plan.steps:
            try:
                result = step.run(*[registers[slot] for slot in step.inputs])
            except OPERATION_ERRORS as error:
                raise StepError(step.operation) from error
            if isinstance(result, Tensor):
                registers[step.outputs[0]] = result
            else:
                for slot, part in zip(step.outputs, result, strict=True):
                    registers[slot] = part
            for slot in step.dead:
                registers[slot] = None
    results = {name: registers[slot] for name, slot in plan.outputs.items()}
    return {name: tensor for name, tensor in results.items() if tensor is not None}
