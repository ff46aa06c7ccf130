"""Tensors that know how to compute themselves, so that whole checkpoints are rearranged without memory.

The functions that rename, split and turn a checkpoint's tensors take a dictionary with all of them.
Given deferred tensors they return deferred tensors; each is computed when it is written, and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


class Deferred(torch.Tensor):
    """A tensor without content (on the meta device) that remembers what would compute it."""

    compute: Callable[[], Tensor]

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]

        def replay() -> Any:
            return func(
                *_materialised(args), **{name: _materialised(value) for name, value in kwargs.items()}
            )

        if isinstance(result, Deferred):
            result.compute = replay
        elif isinstance(result, tuple | list):
            for index, part in enumerate(result):
                if isinstance(part, Deferred):
                    part.compute = lambda index=index: replay()[index]  # type: ignore[misc]
        return result


def defer(shape: torch.Size | tuple[int, ...], dtype: torch.dtype, compute: Callable[[], Tensor]) -> Deferred:
    """What ``compute`` will return, a tensor of this shape and type."""
    deferred = torch.empty(shape, dtype=dtype, device="meta").as_subclass(Deferred)
    deferred.compute = compute
    return deferred


def materialise(tensor: Tensor) -> Tensor:
    """``tensor`` with its content."""
    return tensor.compute().detach() if isinstance(tensor, Deferred) else tensor.detach()


def _materialised(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_materialised(part) for part in value)
    return materialise(value) if isinstance(value, Deferred) else value
