"""Running a plan."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sdtui.runtime.portable.plan import Plan, Register, Step

OPERATION_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, MemoryError)
"""What torch raises when an operation is used wrongly or memory runs out."""


Registers = list[Register]
"""A value for each number of a plan, None where there is none now."""


class StepError(Exception):
    """An operation failed; the cause says why."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


def execute(plan: Plan, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every step in order. A value's memory is given back after the last step that reads it.

    Raises :class:`StepError`.
    """
    registers = begin(plan, inputs)
    for step in plan.steps:
        perform(step, registers)
    return results(plan, registers)


def begin(plan: Plan, inputs: Mapping[str, Tensor]) -> Registers:
    """The registers before the first step: constants and inputs."""
    registers = list(plan.registers)
    for name, slot in plan.inputs.items():
        registers[slot] = inputs[name]
    return registers


def perform(step: Step, registers: Registers) -> None:
    """One step. Raises :class:`StepError`."""
    try:
        with torch.inference_mode():
            result = step.run(*[_value(registers[slot]) for slot in step.inputs])
    except OPERATION_ERRORS as error:
        raise StepError(step.operation) from error
    if isinstance(result, Tensor):
        registers[step.outputs[0]] = result
    else:
        for slot, part in zip(step.outputs, result, strict=True):
            registers[slot] = part
    for slot in step.dead:
        registers[slot] = None


def results(plan: Plan, registers: Registers) -> dict[str, Tensor]:
    """The outputs, by name, after the last step."""
    outputs = {name: registers[slot] for name, slot in plan.outputs.items()}
    return {name: tensor for name, tensor in outputs.items() if isinstance(tensor, Tensor)}


def _value(register: Register) -> Tensor | None:
    """A constant that is streamed is read here, for one step."""
    return register if register is None or isinstance(register, Tensor) else register()
