"""Arithmetic in float32 with weights that lie in less."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RELEASED_AFTER = 1 << 28
"""Bytes of what operations read."""


class Float32Arithmetic(TorchFunctionMode):
    """While it is active, every half-precision tensor enters an operation as its float32 copy.

    A module whose weights are float16 or bfloat16 then computes what its float32 copy would, and only
    the weights of the operation at work are ever widened: a reference for 5 GB of weights takes 5 GB
    and one layer. Modules are told that their weights are float32, since some round to that type.
    ``release`` is called now and then; it may give back the pages of weights that were read.
    """

    def __init__(self, release: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._release = release
        self._read = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.dtype.__get__:  # type: ignore[attr-defined]
            return torch.float32 if _is_narrow(args[0]) else args[0].dtype
        if getattr(func, "__name__", "") == "__get__":
            return func(*args)
        if func is functional.embedding:  # a few rows of a table that may be large
            return _widened(func(*args, **(kwargs or {})))
        self._count(args)
        return func(*_widened(args), **_widened(kwargs or {}))

    def _count(self, args: Sequence[Any]) -> None:
        self._read += sum(each.nbytes for each in args if isinstance(each, Tensor) and not each.is_meta)
        if self._read > _RELEASED_AFTER:
            self._release()
            self._read = 0


def _is_narrow(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if _is_narrow(value) else value
    if isinstance(value, Mapping):
        return {name: _widened(each) for name, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_widened(each) for each in value)
    return value
