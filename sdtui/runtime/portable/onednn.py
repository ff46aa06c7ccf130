"""oneDNN's products, as torch gives them to its own compiler.

torch sends fp32 products elsewhere, which on processors that are not Intel's is half as fast.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

ACTIVATIONS = {"": ("none", ""), "relu": ("relu", ""), "silu": ("swish", ""), "gelu": ("gelu", "none")}
"""oneDNN's names, and which kind of them."""


@cache
def available(dtype: torch.dtype) -> bool:
    """Whether this torch can pack weights of a type on this processor."""
    if not torch._C._has_mkldnn or dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        ones = torch.ones(1, 1, dtype=dtype)
        return bool(product(ones, packed_matrix(ones, 1)).item() == 1)
    except (RuntimeError, AttributeError):
        return False


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "") -> Tensor:
    """x (..., I) times weight (O, I) transposed, packed or not, plus bias (O)."""
    name, kind = ACTIVATIONS[activation]
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], kind)
    return result


def packed_matrix(weight: Tensor, rows: int) -> Tensor:
    """A weight (O, I) laid out for products with so many rows; only :func:`product` reads it."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return packed
