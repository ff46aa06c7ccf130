"""How a torch function becomes the implementation of a MIL operation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Tensor | tuple[Tensor, ...]])


@dataclass(frozen=True, slots=True)
class Kernel:
    """An implementation, and what its signature says.

    Positional arguments are tensors, given at each run. Keyword-only ones are parameters: constants
    of the program as Python numbers, texts, or tuples of them. ``variadic`` takes any number of
    tensors. ``multiplies`` marks the operations that do nearly all of the arithmetic, and so may
    run in half precision.
    """

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    tensors: tuple[str, ...]
    variadic: str | None
    parameters: frozenset[str]
    required: frozenset[str]
    multiplies: bool


OPERATIONS: dict[str, Kernel] = {}
"""Every operation that can be executed, by its MIL name."""


def operation(name: str, *, multiplies: bool = False) -> Callable[[Function], Function]:
    """Register a function under the name of a MIL operation, as its signature says."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function).parameters.values()
        variadic = [p.name for p in signature if p.kind is p.VAR_POSITIONAL]
        defaulted = frozenset(p.name for p in signature if p.default is not p.empty)
        OPERATIONS[name] = Kernel(
            function=function,
            tensors=tuple(p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD),
            variadic=variadic[0] if variadic else None,
            parameters=frozenset(p.name for p in signature if p.kind is p.KEYWORD_ONLY),
            required=frozenset(p.name for p in signature) - defaulted,
            multiplies=multiplies,
        )
        return function

    return decorate


def register(name: str, function: Callable[..., Tensor], tensors: tuple[str, ...]) -> None:
    """Register a function of torch's own, all of whose arguments are tensors."""
    OPERATIONS[name] = Kernel(function, tensors, None, frozenset(), frozenset(tensors), False)
