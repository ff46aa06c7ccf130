"""Normalisation and softmax. Statistics are taken in fp32 whatever the input's precision; torch does
so itself in layer and group norm, where scale and shift are fp32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable.ops.linear import ACTIVATIONS
from sdtui.runtime.portable.ops.registry import operation


@operation("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    epsilon: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, each of them per channel (axis 1)."""
    return F.batch_norm(x.float(), mean, variance, gamma, beta, False, 0.0, epsilon)


@operation("instance_norm")
def instance_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, *, epsilon: float = 1e-5
) -> Tensor:
    """Each channel of each sample with its own statistics over the spatial axes."""
    return F.instance_norm(x.float(), None, None, gamma, beta, True, 0.0, epsilon).to(x.dtype)


@operation("layer_norm")
def layer_norm(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    axes: tuple[int, ...] = (),
    epsilon: float = 1e-5,
) -> Tensor:
    """Statistics over ``axes``; gamma and beta have the shape of those axes."""
    normalised = tuple(axis % x.dim() for axis in axes) or tuple(range(x.dim()))
    last = tuple(range(x.dim() - len(normalised), x.dim()))
    shape = [x.shape[axis] for axis in normalised]
    moved = x if normalised == last else x.movedim(normalised, last)
    result = F.layer_norm(moved, shape, gamma, beta, epsilon)
    return result if normalised == last else result.movedim(last, normalised)


@operation("l2_norm")
def l2_norm(x: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """x / sqrt(sum of squares over the last three axes + epsilon)."""
    total = x.float().square().sum(dim=(-3, -2, -1), keepdim=True)
    return x * torch.rsqrt(total + epsilon)


@operation("group_norm")
def group_norm(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    groups: int,
    epsilon: float,
    shape: tuple[int, ...],
    activation: str = "",
) -> Tensor:
    """Groups of channels of each sample with their own statistics, in a shape with as many channels.

    Not in MIL: fusion makes it, and sets the activation.
    """
    return ACTIVATIONS[activation](F.group_norm(x, groups, gamma, beta, epsilon)).reshape(shape)


@operation("softmax")
def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """exp(x) / sum of exp(x) along an axis; torch sums half precision in fp32."""
    return torch.softmax(x, axis)
