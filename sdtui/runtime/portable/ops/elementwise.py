"""Arithmetic, comparison and activation: one result for each element, with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable.ops.registry import operation, register

_INTEGERS = {
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    # torch has no arithmetic on uint16: the values of an index fit in 32 bits.
    "uint16": torch.int32,
    "int32": torch.int32,
}


def _maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(*_same_type(x, y))


def _minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(*_same_type(x, y))


def _same_type(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    common = torch.promote_types(x.dtype, y.dtype)
    return x.to(common), y.to(common)


_BINARY: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "real_div": torch.div,
    "floor_div": torch.floor_divide,
    "mod": torch.remainder,
    "pow": torch.pow,
    "maximum": _maximum,
    "minimum": _minimum,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
_UNARY: dict[str, Callable[..., Tensor]] = {
    "abs": torch.abs,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    "relu": torch.relu,
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": F.silu,
    "sin": torch.sin,
    "softplus": F.softplus,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tanh": torch.tanh,
}
for _name, _function in _BINARY.items():
    register(_name, _function, ("x", "y"))
for _name, _function in _UNARY.items():
    register(_name, _function, ("x",))


@operation("rsqrt")
def rsqrt(x: Tensor, *, epsilon: float = 1e-12) -> Tensor:
    """1 / sqrt(x + epsilon); in fp32, where the usual epsilon is not zero."""
    return torch.rsqrt(x.float() + epsilon)


@operation("inverse")
def inverse(x: Tensor, *, epsilon: float = 1e-4) -> Tensor:
    """1 / (x + epsilon)."""
    return torch.reciprocal(x.float() + epsilon)


@operation("log")
def log(x: Tensor, *, epsilon: float = 1e-45) -> Tensor:
    """Natural logarithm of x + epsilon."""
    return torch.log(x.float() + epsilon)


@operation("gelu")
def gelu(x: Tensor, *, mode: str = "EXACT") -> Tensor:
    """x times the normal distribution function of x, or an approximation of it."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@operation("leaky_relu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """x, or alpha x where x is negative."""
    return F.leaky_relu(x, alpha)


@operation("elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """x, or alpha (exp(x) - 1) where x is negative."""
    return F.elu(x, alpha)


@operation("clip")
def clip(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """x limited to alpha..beta."""
    return torch.clamp(x, alpha, beta)


@operation("select")
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where cond holds, else b."""
    return torch.where(cond.bool(), *_same_type(a, b))


@operation("cast")
def cast(x: Tensor, *, dtype: str) -> Tensor:
    """x as another type. Float to integer truncates toward zero.

    ``fp16`` is a statement about storage: the value stays in the float type that it has.
    """
    if dtype == "bool":
        return x != 0
    if dtype in _INTEGERS:
        return x.to(_INTEGERS[dtype])
    if dtype == "fp16" and x.is_floating_point():
        return x
    return x.float()
