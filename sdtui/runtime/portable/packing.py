"""Weights laid out as the processor's own product library wants them, once, when a network is loaded.

torch hands convolutions and products to oneDNN, which lays the weights out anew for every call: half
of the time of a convolution of 2560 channels on 8 x 8 cells. Packed once they stay so, and channels
lie innermost from the first layer on, which is where both the convolutions and the products of
attention want them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable import onednn
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.onednn import ACTIVATIONS, packed_matrix, product
from sdtui.runtime.portable.ops.linear import last_axis_first, padding
from sdtui.runtime.portable.program import Function, Operation, Value, only


class Packing:
    """Which weights of a function are packed: those of layers that run on a processor and stay there."""

    def __init__(self, function: Function, constants: Constants) -> None:
        self._constants = constants
        self._shapes = {value.name: value.type.shape for value in function.inputs}
        self._readers: Counter[str | Value] = Counter()
        for operation in function.operations:
            self._shapes |= {output.name: output.type.shape for output in operation.outputs}
            self._readers.update(bound for each in operation.inputs.values() for bound in each)

    def pack(
        self, operation: Operation, parameters: Mapping[str, Any], dtype: torch.dtype
    ) -> Callable[..., Tensor] | None:
        """The operation with its weight packed in ``dtype``, to be given x and bias; None where it is not.

        A weight that others read too would be in memory twice.
        """
        weight, x = only(operation, "weight"), only(operation, "x")
        packed = _PACKED.get(operation.type)
        if packed is None or weight is None or x is None or x in self._constants:
            return None
        if weight not in self._constants or self._readers[weight] != 1 or not self._constants.stays_on_cpu:
            return None
        shape = self._shapes.get(str(x), (None,))
        if None in shape or len(shape) < 2 or not onednn.available(dtype):
            return None
        tensor = self._constants.unshared(weight, dtype)
        if operation.type == "conv" and tensor.dim() != 4:
            return None
        return packed(shape, tensor, **parameters)


def packed_linear(x: tuple[int, ...], weight: Tensor, activation: str = "") -> Callable[..., Tensor]:
    """``linear`` with this weight (O, I), for an x of a shape (..., I): to be given x and bias."""
    rows = torch.Size(x[:-1]).numel()
    return partial(_linear, weight=packed_matrix(weight, rows), activation=activation)


def packed_conv(
    x: tuple[int, ...],
    weight: Tensor,
    *,
    strides: tuple[int, ...] = (),
    pad_type: str = "valid",
    pad: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    groups: int = 1,
    activation: str = "",
) -> Callable[..., Tensor]:
    """``conv`` over two axes with this weight, for an x (N, I, H, W): to be given x and bias."""
    stride, dilation = strides or (1, 1), dilations or (1, 1)
    pads = padding(pad_type, pad, torch.Size(x[2:]), weight.shape[2:], stride, dilation)
    if weight.shape[2:] == (1, 1) and not any(pads) and (*stride, groups) == (1, 1, 1):
        rows = x[0] * x[2] * x[3]
        matrix = packed_matrix(weight[:, :, 0, 0].contiguous(), rows)
        return partial(_pointwise, weight=matrix, activation=activation)
    margins = last_axis_first(pads) if pads[::2] != pads[1::2] else []
    before = [0, 0] if margins else list(pads[::2])
    size = [*x[:2], *(n + sum(pads[2 * i : 2 * i + 2]) * bool(margins) for i, n in enumerate(x[2:]))]
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, before, stride, dilation, groups, size)
    convolve = partial(
        _convolve,
        weight=packed,
        geometry=(before, list(stride), list(dilation), groups),
        activation=activation,
    )
    return partial(_padded, convolve, margins) if margins else convolve


def _linear(x: Tensor, bias: Tensor | None, *, weight: Tensor, activation: str) -> Tensor:
    return product(x, weight, bias, activation)


def _pointwise(x: Tensor, bias: Tensor | None, *, weight: Tensor, activation: str) -> Tensor:
    return product(x.movedim(1, -1), weight, bias, activation).movedim(-1, 1)


def _convolve(
    x: Tensor,
    bias: Tensor | None,
    *,
    weight: Tensor,
    geometry: tuple[list[int], list[int], list[int], int],
    activation: str,
) -> Tensor:
    innermost = x.contiguous(memory_format=torch.channels_last)
    name, kind = ACTIVATIONS[activation]
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        innermost, weight, bias, *geometry, name, [], kind
    )
    return result


def _padded(convolve: Callable[..., Tensor], margins: list[int], x: Tensor, bias: Tensor | None) -> Tensor:
    return convolve(F.pad(x, margins), bias)


_PACKED: Mapping[str, Callable[..., Callable[..., Tensor]]] = {"linear": packed_linear, "conv": packed_conv}
