"""What is known before a network runs: weights and parameters, decompressed when asked for."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdtui.runtime.portable.ops.constexpr import CONSTEXPR, SPARSE_CONSTEXPR
from sdtui.runtime.portable.package import Package
from sdtui.runtime.portable.program import Array, Function, Operation, Value
from sdtui.runtime.portable.wire import MalformedError

Content = Array | str | tuple[str, ...]
Streamed = Callable[[], Tensor]
"""Reads a weight, whenever a step needs it, and keeps nothing."""

STREAMED_ABOVE = 1 << 16
"""Elements from which on a weight is worth reading again and again."""


def is_constant(operation: Operation) -> bool:
    """Whether its results are known before the network runs, by what it is."""
    return operation.type == "const" or operation.type in CONSTEXPR or operation.type in SPARSE_CONSTEXPR


class Constants:
    """The constants of one function, as arrays, as parameters or as tensors on one device.

    Nothing is read until it is asked for, and arrays are not kept: a palettized weight exists in
    memory only as the tensor that is made of it. Where weights are ``streamed``, not even that.
    """

    def __init__(
        self, package: Package, function: Function, device: torch.device, *, streamed: bool = False
    ) -> None:
        self._package = package
        self._device = device
        self._streamed = streamed
        self._folded: dict[str, Tensor] = {}
        self._tensors: dict[tuple[str, torch.dtype | None], Tensor] = {}
        self._sources: dict[str, Operation] = {}
        for operation in function.operations:
            if is_constant(operation):
                self._add(operation)

    def _add(self, operation: Operation) -> None:
        for argument in (bound for arguments in operation.inputs.values() for bound in arguments):
            if argument not in self:
                raise MalformedError(f"the constant {operation.name} depends on what is not known yet")
        self._sources |= {output.name: operation for output in operation.outputs}

    def __contains__(self, argument: str | Value) -> bool:
        return isinstance(argument, Value) or argument in self._sources or argument in self._folded

    def fold(self, name: str, tensor: Tensor) -> None:
        """Take the result of an operation on constants as a constant."""
        self._folded[name] = tensor.to(self._device)

    def parameter(self, argument: str | Value) -> Any:
        """A constant as a Python number or text, or a tuple of them."""
        if isinstance(argument, str) and argument in self._folded:
            return _plain(self._folded[argument].cpu().numpy())
        content = self._content(argument)
        return _plain(content) if isinstance(content, np.ndarray) else content

    def register(self, argument: str | Value, half: torch.dtype | None = None) -> Tensor | Streamed:
        """What a plan keeps of a constant: its tensor, or how to read it."""
        if self._streamed and isinstance(argument, str) and argument in self._sources:
            shape = next(each for each in self._sources[argument].outputs if each.name == argument).type.shape
            if prod(size or 1 for size in shape) > STREAMED_ABOVE:
                return lambda: self._tensor(self.array(argument), half)
        return self.tensor(argument, half)

    def tensor(self, argument: str | Value, half: torch.dtype | None = None) -> Tensor:
        """A constant as a tensor: floats in fp32 or ``half``, integers in int32, or bool."""
        if isinstance(argument, Value):
            return self._tensor(self.array(argument), half)
        if argument in self._folded:
            folded = self._folded[argument]
            return folded.to(half) if half is not None and folded.is_floating_point() else folded
        if (argument, half) not in self._tensors:
            self._tensors[argument, half] = self._tensor(self.array(argument), half)
        return self._tensors[argument, half]

    @property
    def stays_on_cpu(self) -> bool:
        """Whether weights are kept in memory, and a processor computes with them."""
        return self._device.type == "cpu" and not self._streamed

    def unshared(self, argument: str | Value, dtype: torch.dtype) -> Tensor:
        """A constant of floats as a tensor that is kept nowhere else."""
        known = isinstance(argument, str) and argument in self._folded
        return self.tensor(argument, dtype) if known else self._tensor(self.array(argument), dtype)

    def _tensor(self, array: Array, half: torch.dtype | None) -> Tensor:
        if array.dtype.kind == "f":
            # A copy, so that the tensor does not depend on the file any more.
            return torch.tensor(array).to(self._device, half or torch.float32)
        kind = torch.bool if array.dtype.kind == "b" else torch.int32
        return torch.tensor(array.astype(np.int64)).to(self._device, kind)

    def array(self, argument: str | Value) -> Array:
        """A constant as an array of the type that it has; a view of the weight file where that has it."""
        if isinstance(argument, str) and argument in self._folded:
            return np.asarray(self._folded[argument].cpu().numpy())
        content = self._content(argument)
        if not isinstance(content, np.ndarray):
            raise MalformedError("a text stands where numbers belong")
        return content

    def _content(self, argument: str | Value) -> Content:
        if isinstance(argument, Value):
            return self._package.array(argument)
        source = self._sources.get(argument)
        if source is None:
            raise MalformedError(f"{argument} is not a constant")
        if source.type == "const":
            return self._content(_single(source, "val"))
        return self._decompressed(source, argument)

    def _decompressed(self, operation: Operation, result: str) -> Array:
        arguments = {name: self._content(_single(operation, name)) for name in operation.inputs}
        try:
            # A damaged scale overflows: what comes of it is not finite, and is told where it shows.
            with np.errstate(all="ignore"):
                if operation.type in CONSTEXPR:
                    return np.asarray(CONSTEXPR[operation.type](**arguments))
                results = SPARSE_CONSTEXPR[operation.type](**arguments)
            return results[[output.name for output in operation.outputs].index(result)]
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise MalformedError(f"the weight {operation.name} cannot be decompressed") from error


def _single(operation: Operation, name: str) -> str | Value:
    bound = operation.inputs.get(name, ())
    if len(bound) != 1:
        raise MalformedError(f"{operation.type} {operation.name} has no single {name}")
    return bound[0]


def _plain(array: Array) -> Any:
    return array.item() if array.ndim == 0 else tuple(array.tolist())
