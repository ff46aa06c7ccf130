"""A ControlNet: what a UNet should add to its skips so that the picture follows another picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from sdtui.convert.networks import conditions
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.unet import POOLED_SIZE, residual_names
from sdtui.convert.source import Source

_PICTURE = "controlnet_cond"


def controlnet(
    module: nn.Module,
    shape: Shape,
    *,
    text_hidden_size: int | None = None,
    pooled_size: int = POOLED_SIZE,
) -> Source:
    """A diffusers ControlNetModel.

    A UNet's inputs, then ``controlnet_cond`` (B, 3, H, W) in 0 to 1 -> ``additional_residual_0`` to
    ``N-1``, each at full strength. Raises :class:`ConversionError`.
    """
    config: Any = module.config
    scale = 2 ** (len(config.conditioning_embedding_out_channels) - 1)
    size = (shape.batch, config.conditioning_channels, scale * shape.height, scale * shape.width)
    picture = np.random.default_rng(1).uniform(0, 1, size).astype(np.float32)
    probes = tuple(
        {**probe, _PICTURE: picture}
        for probe in conditions.probes("controlnet", config, shape, text_hidden_size, pooled_size)
    )
    return Source("controlnet", _ControlNet(module, tuple(probes[0])), probes, residual_names(module, shape))


class _ControlNet(nn.Module):
    def __init__(self, controlnet: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.controlnet = controlnet
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, inputs, strict=True))
        skips, middle = self.controlnet(
            **conditions.keywords(given), controlnet_cond=given[_PICTURE], return_dict=False
        )
        return (*skips, middle)
