"""The denoiser of Stable Diffusion 1, 2 and XL, with or without a ControlNet's residuals."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from sdtui.bundle.manifest import NetworkRole
from sdtui.convert.networks import conditions
from sdtui.convert.networks.conditions import TIME_IDS_OF_REFINER, Shape
from sdtui.convert.source import Source

_RESIDUAL = "additional_residual_"
POOLED_SIZE = 1280
"""The width of what SDXL's second text encoder says about a whole prompt."""


def unet(
    module: nn.Module,
    shape: Shape,
    *,
    text_hidden_size: int | None = None,
    pooled_size: int = POOLED_SIZE,
) -> Source:
    """A diffusers UNet2DConditionModel; SDXL, its refiner and LCMs are known by their configuration.

    The inputs are those of :func:`conditions.probes` -> ``noise_pred`` (B, C, h, w). A batch of 2
    holds the negative prompt, then the positive one. A ``text_hidden_size`` must be the model's own.
    Raises :class:`ConversionError`.
    """
    config: Any = module.config
    probes = conditions.probes("unet", config, shape, text_hidden_size, pooled_size)
    ids = probes[0].get("time_ids")
    role: NetworkRole = "refiner" if ids is not None and ids.shape[1] == TIME_IDS_OF_REFINER else "unet"
    return Source(role, _UNet(module, tuple(probes[0])), tuple(probes), ("noise_pred",))


def control_unet(
    module: nn.Module,
    shape: Shape,
    *,
    text_hidden_size: int | None = None,
    pooled_size: int = POOLED_SIZE,
) -> Source:
    """The same UNet, taking ``additional_residual_0`` to ``N-1`` too: what ControlNets add to its skips.

    They have the shapes of :func:`residual_shapes`, the last one being that of the middle.
    """
    plain = unet(module, shape, text_hidden_size=text_hidden_size, pooled_size=pooled_size)
    random = np.random.default_rng(1)
    residuals = {
        f"{_RESIDUAL}{index}": random.standard_normal(size, np.float32)
        for index, size in enumerate(residual_shapes(module, shape))
    }
    probes = tuple({**probe, **residuals} for probe in plain.probes)
    return Source("control_unet", _UNet(module, tuple(probes[0])), probes, plain.outputs)


def residual_shapes(module: nn.Module, shape: Shape) -> list[tuple[int, ...]]:
    """The skips of a UNet or ControlNet in order, and its middle: (B, C, h, w) of each.

    One after the first convolution, one after each residual layer and each downsampler.
    """
    network: Any = module
    height, width = shape.height, shape.width
    sizes: list[tuple[int, ...]] = [(shape.batch, network.conv_in.out_channels, height, width)]
    for block in network.down_blocks:
        sizes += [(shape.batch, layer.out_channels, height, width) for layer in block.resnets]
        for downsampler in block.downsamplers or ():
            # A stride of 2 with padding on both sides rounds up, with padding behind it down.
            extra = 1 if downsampler.padding else 0
            height, width = (height + extra) // 2, (width + extra) // 2
            sizes.append((shape.batch, downsampler.out_channels, height, width))
    return [*sizes, sizes[-1]]


def residual_names(module: nn.Module, shape: Shape) -> tuple[str, ...]:
    """The names of the residuals, in the order of :func:`residual_shapes`."""
    return tuple(f"{_RESIDUAL}{index}" for index in range(len(residual_shapes(module, shape))))


class _UNet(nn.Module):
    """A UNet whose inputs come one after the other, as ``names`` tells them."""

    def __init__(self, unet: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.unet = unet
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        given = dict(zip(self.names, inputs, strict=True))
        residuals = [tensor for name, tensor in given.items() if name.startswith(_RESIDUAL)]
        return (
            self.unet(
                **conditions.keywords(given),
                down_block_additional_residuals=tuple(residuals[:-1]) or None,
                mid_block_additional_residual=residuals[-1] if residuals else None,
                return_dict=False,
            )[0],
        )
