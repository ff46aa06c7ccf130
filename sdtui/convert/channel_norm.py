"""Layer norm over the channels of (B, C, 1, S), as one operation in torch and in MIL.

torch has it over the last axes only. Written out, coremltools finds it again only where the shift
comes before the scale, which takes a division by weights that may be zero; so it is an operation of
our own, which is translated to MIL's ``layer_norm`` with ``axes=[1]``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@torch.library.custom_op("sdtui::channel_layer_norm", mutates_args=())
def channel_layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """x (B, C, ...) with mean 0 and variance 1 over C, times ``weight`` (C,), plus ``bias`` (C,)."""
    moved = functional.layer_norm(x.movedim(1, -1), x.shape[1:2], weight, bias, epsilon)
    return moved.movedim(-1, 1).contiguous()


@cache
def register_conversion() -> None:
    """Tell coremltools how to translate it, once."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

    def translate(context: Any, node: Any) -> None:
        x, weight, bias, epsilon = _get_inputs(context, node, expected=4)
        context.add(
            Builder.layer_norm(x=x, axes=[1], gamma=weight, beta=bias, epsilon=epsilon, name=node.name)
        )

    register_torch_op(translate, torch_alias=["sdtui::channel_layer_norm"])
