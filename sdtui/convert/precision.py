"""Which operations of a float16 network stay in float32."""

from __future__ import annotations

from typing import Any

_WAVES = frozenset({"sin", "cos"})


def tolerates_fp16(operation: Any) -> bool:
    """Whether a MIL operation may compute in float16 (an ``op_selector`` of coremltools).

    Two places may not. The timestep embedding: t * frequency reaches 999 radians, where float16 has
    steps of 0.5, and the sine of that is off by up to 0.32. The statistics of group norm: the square
    of a deviation above 255 is infinite in float16, and the picture black.
    """
    return not (_leads_to_wave(operation) or _is_group_norm_statistic(operation))


def _leads_to_wave(operation: Any) -> bool:
    if operation.op_type in _WAVES:
        return True
    if operation.op_type not in ("mul", "expand_dims", "tile", "reshape", "cast"):
        return False
    return any(_leads_to_wave(user) for output in operation.outputs for user in output.child_ops)


def _is_group_norm_statistic(operation: Any) -> bool:
    """The chain mean, sub, square, mean, add epsilon, sqrt, real_div that coremltools lowers it to."""
    if operation.op_type in ("reduce_mean", "square", "sqrt"):
        return True
    users = {user.op_type for output in operation.outputs for user in output.child_ops}
    if operation.op_type == "sub":
        return "square" in users
    if operation.op_type == "add":
        return "sqrt" in users
    if operation.op_type == "real_div":
        divisor = operation.inputs["y"].op
        return divisor is not None and divisor.op_type == "sqrt"
    return False
