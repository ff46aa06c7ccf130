"""What of a function must be exact: the part before anything is declared in half precision."""

from __future__ import annotations

from dataclasses import replace

from sdtui.runtime.portable.constants import is_constant
from sdtui.runtime.portable.ops import OPERATIONS
from sdtui.runtime.portable.program import Function, Operation, Output


def divided(function: Function) -> tuple[Function, Function]:
    """The arithmetic in fp32 on the inputs alone, of timesteps above all, and the rest.

    The first function gives what the second takes: the values that cross, and the inputs that it
    still reads. Both have all the constants.
    """
    types = {value.name: value.type for value in function.inputs}
    known = set(types)
    head: list[Operation] = []
    tail: list[Operation] = []
    for operation in function.operations:
        if is_constant(operation):
            head.append(operation)
            tail.append(operation)
            known.update(output.name for output in operation.outputs)
        elif _exact(operation) and not _multiplies(operation) and _reads(operation) <= known:
            head.append(operation)
            known.update(output.name for output in operation.outputs)
            types |= {output.name: output.type for output in operation.outputs}
        else:
            tail.append(operation)
    read = {name for operation in tail for name in _reads(operation)} | set(function.outputs)
    crossing = tuple(Output(name, kind) for name, kind in types.items() if name in read)
    return (
        replace(function, operations=tuple(head), outputs=tuple(value.name for value in crossing)),
        replace(function, operations=tuple(tail), inputs=crossing),
    )


def precisions(function: Function) -> set[str]:
    """In which types its arithmetic on floats is declared: "fp16", "fp32" or both."""
    made = [operation for operation in function.operations if not is_constant(operation)]
    types = {
        output.type.dtype for operation in made if operation.type != "cast" for output in operation.outputs
    }
    return types & {"fp16", "fp32"}


def _exact(operation: Operation) -> bool:
    return all(output.type.dtype != "fp16" for output in operation.outputs)


def _multiplies(operation: Operation) -> bool:
    kernel = OPERATIONS.get(operation.type)
    return kernel is not None and kernel.multiplies


def _reads(operation: Operation) -> set[str]:
    return {bound for each in operation.inputs.values() for bound in each if isinstance(bound, str)}
