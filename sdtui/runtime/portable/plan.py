"""From a function of a program to a flat list of steps, with everything constant resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sdtui.runtime.portable.constants import Constants, Streamed, is_constant
from sdtui.runtime.portable.ops import OPERATIONS, Kernel
from sdtui.runtime.portable.program import Function, Operation, Value, only
from sdtui.runtime.portable.wire import MalformedError

Results = Tensor | tuple[Tensor, ...]
Run = Callable[..., Results]
Register = Tensor | Streamed | None


@dataclass(frozen=True, slots=True)
class Step:
    """Read some registers, write others, then empty those that nobody reads any more."""

    operation: str
    run: Run
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    dead: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Steps over numbered registers. ``registers`` holds constants, or how to read them, else None.

    ``half`` is the precision in which some steps multiply, or None when all is fp32.
    """

    registers: tuple[Register, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]
    steps: tuple[Step, ...]
    half: torch.dtype | None


Pack = Callable[[Operation, Mapping[str, Any], torch.dtype], Run | None]
"""An operation with its weight put in it, in a precision; to be given x and bias alone. None: as it is."""


def leave(_operation: Operation, _parameters: Mapping[str, Any], _precision: torch.dtype) -> None:
    """Weights stay in registers, where they can be changed."""


def prepare(function: Function, constants: Constants, half: torch.dtype | None, pack: Pack = leave) -> Plan:
    """Resolve constants, lay out registers and find out when each value dies.

    Half precision is entered only by the operations that multiply, where the program declares fp16:
    their operands are rounded to ``half``, and what they give stays so until it meets an fp32
    operand or a statistic is taken. All other arithmetic starts in fp32.

    Raises MalformedError for an unknown operation or one that is used wrongly.
    """
    layout = _Layout(constants)
    inputs = {value.name: layout.new(value.name) for value in function.inputs}
    steps: list[Step] = []
    halved = False
    for operation in function.operations:
        if is_constant(operation):
            continue
        kernel = _kernel(operation)
        arguments = _tensor_arguments(operation, kernel)
        parameters = _parameters(operation, kernel, constants)
        run: Run = partial(kernel.function, **parameters)
        precision = None
        if kernel.multiplies and half is not None:
            precision = half if operation.outputs[0].type.dtype == "fp16" else torch.float32
            halved = halved or precision is half
        packed = pack(operation, parameters, precision or torch.float32)
        if packed is not None:
            run = packed
            arguments = [only(operation, "x"), only(operation, "bias")]
        if precision is not None:
            run = partial(_rounded, run, precision)
        if all(argument is None or argument in constants for argument in arguments):
            tensors = [None if argument is None else constants.tensor(argument) for argument in arguments]
            _fold(operation, run(*tensors), constants)
            continue
        steps.append(
            Step(
                operation=f"{operation.type} {operation.name}",
                run=run,
                inputs=tuple(layout.slot(argument, precision) for argument in arguments),
                outputs=tuple(layout.new(output.name) for output in operation.outputs),
            )
        )
    outputs = {name: layout.slot(name) for name in function.outputs}
    return Plan(
        registers=tuple(layout.registers),
        inputs=inputs,
        outputs=outputs,
        steps=_with_lifetimes(steps, layout.constants | set(outputs.values())),
        half=half if halved else None,
    )


@dataclass
class _Layout:
    """Which register holds which value. Register 0 stays empty: it stands for an absent argument."""

    source: Constants
    registers: list[Register] = field(default_factory=lambda: [None])
    constants: set[int] = field(default_factory=lambda: {0})
    _slots: dict[tuple[str, torch.dtype | None], int] = field(default_factory=dict)

    def new(self, name: str) -> int:
        """A register for a value that a step will compute."""
        self.registers.append(None)
        self._slots[name, None] = len(self.registers) - 1
        return len(self.registers) - 1

    def slot(self, argument: str | Value | None, precision: torch.dtype | None = None) -> int:
        """Where an argument lies; a constant is put there, in ``precision``, when first asked for."""
        if argument is None:
            return 0
        if argument not in self.source:
            if (str(argument), None) not in self._slots:
                raise MalformedError(f"nothing computes {argument}")
            return self._slots[str(argument), None]
        key = (argument, precision) if isinstance(argument, str) else None
        if key is not None and key in self._slots:
            return self._slots[key]
        self.registers.append(self.source.register(argument, precision))
        place = len(self.registers) - 1
        self.constants.add(place)
        if key is not None:
            self._slots[key] = place
        return place


def _kernel(operation: Operation) -> Kernel:
    kernel = OPERATIONS.get(operation.type)
    if kernel is None:
        raise MalformedError(
            f"it needs the operation {operation.type}, which is not supported",
            "report it as an issue of sdtui",
        )
    given = set(operation.inputs)
    accepted = {*kernel.tensors, *kernel.parameters, kernel.variadic}
    for name in sorted(given - accepted):
        raise MalformedError(f"{operation.type} {operation.name} has an unknown input {name}")
    for name in sorted(kernel.required - given):
        raise MalformedError(f"{operation.type} {operation.name} lacks its input {name}")
    if not operation.outputs:
        raise MalformedError(f"a {operation.type} has no output")
    return kernel


def _tensor_arguments(operation: Operation, kernel: Kernel) -> list[str | Value | None]:
    if kernel.variadic is not None:
        return list(operation.inputs[kernel.variadic])
    return [_single(operation, name) if name in operation.inputs else None for name in kernel.tensors]


def _parameters(operation: Operation, kernel: Kernel, constants: Constants) -> dict[str, object]:
    given = [name for name in operation.inputs if name in kernel.parameters]
    for name in given:
        if _single(operation, name) not in constants:
            raise MalformedError(f"{operation.type} {operation.name} has a {name} that is not constant")
    return {name: constants.parameter(_single(operation, name)) for name in given}


def _single(operation: Operation, name: str) -> str | Value:
    bound = operation.inputs[name]
    if len(bound) != 1:
        raise MalformedError(f"{operation.type} {operation.name} has {len(bound)} values for {name}")
    return bound[0]


def _rounded(run: Run, precision: torch.dtype, *tensors: Tensor | None) -> Results:
    """Run on floats rounded to ``precision``."""
    return run(
        *(t if t is None or not t.is_floating_point() else t.to(precision) for t in tensors),
    )


def _fold(operation: Operation, results: Results, constants: Constants) -> None:
    several = (results,) if isinstance(results, Tensor) else results
    for output, tensor in zip(operation.outputs, several, strict=True):
        constants.fold(output.name, tensor)


def _with_lifetimes(steps: list[Step], kept: set[int]) -> tuple[Step, ...]:
    """Let each step empty the registers that are read, or written, for the last time in it."""
    seen = set(kept)
    reversed_steps = []
    for step in reversed(steps):
        dead = tuple(slot for slot in dict.fromkeys(step.inputs + step.outputs) if slot not in seen)
        seen.update(dead)
        reversed_steps.append(replace(step, dead=dead))
    return tuple(reversed(reversed_steps))
