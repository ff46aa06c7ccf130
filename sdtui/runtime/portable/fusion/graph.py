"""What a rule sees of a program: who makes a value, of which type it is, and what is constant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.program import Operation, TensorType, Value, only

Argument = str | Value


@dataclass(frozen=True)
class Graph:
    """What has been seen of the program: who makes a value, and of which type it is.

    ``readers`` counts who reads each value, in all of the program.
    """

    constants: Constants
    types: dict[str, TensorType]
    producers: dict[str, Operation]
    readers: Mapping[str, int]

    def add(self, operation: Operation) -> None:
        for output in operation.outputs:
            self.types[output.name] = output.type
            self.producers[output.name] = operation

    def source(self, argument: Argument) -> Argument:
        """The value behind casts from one float type to another."""
        while isinstance(argument, str):
            producer = self.producers.get(argument)
            if producer is None or producer.type != "cast":
                break
            before = only(producer, "x")
            if before is None or {self.dtype(before), self.dtype(argument)} - {"fp16", "fp32"}:
                break
            argument = before
        return argument

    def producer(self, argument: Argument | None, kind: str) -> Operation | None:
        """The operation of this kind that makes a value, if one does; float casts are looked through."""
        if argument is None:
            return None
        source = self.source(argument)
        producer = self.producers.get(source) if isinstance(source, str) else None
        return producer if producer is not None and producer.type == kind else None

    def dtype(self, argument: Argument) -> str:
        kind = self.types.get(argument) if isinstance(argument, str) else argument.type
        return kind.dtype if kind is not None else ""

    def shape(self, argument: Argument) -> tuple[int | None, ...]:
        kind = self.types.get(argument) if isinstance(argument, str) else argument.type
        return kind.shape if kind is not None else (None,)

    def constant(self, argument: Argument | None) -> Any:
        """A constant as a Python number or tuple; None for anything else."""
        if argument is None or argument not in self.constants:
            return None
        return self.constants.parameter(argument)


def either(operation: Operation | None) -> Iterator[tuple[Argument, Argument]]:
    """x and y of an operation that may have them the other way round, in both orders."""
    x, y = only(operation, "x"), only(operation, "y")
    if x is not None and y is not None:
        yield x, y
        yield y, x


def constant(content: Any, dtype: str) -> Value:
    """A constant that a rule adds to the program."""
    if isinstance(content, str):
        return Value(TensorType(dtype, ()), content)
    array = np.array(content)
    return Value(TensorType(dtype, array.shape), array)
