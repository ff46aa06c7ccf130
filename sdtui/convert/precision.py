"""Which operations of a float16 network stay in float32."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

_WAVES = frozenset({"sin", "cos"})
_TOWARDS_WAVES = frozenset({"mul", "expand_dims", "tile", "reshape", "cast"})
_STATISTICS = frozenset({"reduce_mean", "reduce_l2_norm", "square", "pow"})
_ROOTS = frozenset({"sqrt", "rsqrt"})


def tolerates_fp16(operation: Any) -> bool:
    """Whether a MIL operation may compute in float16 (an ``op_selector`` of coremltools).

    Two places may not. The embedding of timesteps, and of SDXL's sizes: t * frequency reaches 999
    radians, where float16 has steps of 0.5, and the sine of that is off by up to 0.32. And the
    statistics of norms that are written out, group norm and RMS norm: the square of a value above 255
    is infinite in float16, and the picture black. Each norm costs one cast on its way in and one on its
    way out.
    """
    return not (_leads_to_wave(operation) or _is_statistic(operation))


def _leads_to_wave(operation: Any) -> bool:
    if operation.op_type in _WAVES:
        return True
    return operation.op_type in _TOWARDS_WAVES and any(map(_leads_to_wave, _users(operation)))


def _is_statistic(operation: Any) -> bool:
    """A part of mean, sub, square, mean, add epsilon, sqrt, real_div; or pow, mean, add, rsqrt."""
    if operation.op_type in _STATISTICS | _ROOTS:
        return True
    if operation.op_type == "sub":
        return "square" in _kinds(_users(operation))
    if operation.op_type == "add":
        return bool(_ROOTS & _kinds(_users(operation)))
    if operation.op_type == "real_div":
        divisor = operation.inputs["y"].op
        return divisor is not None and divisor.op_type == "sqrt"
    return False


def _users(operation: Any) -> list[Any]:
    return [user for output in operation.outputs for user in output.child_ops]


def _kinds(operations: list[Any]) -> Set[str]:
    return {operation.op_type for operation in operations}
