"""The tiny decoder that previews are made with: TAESD and its kin (Bohan 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from sdtui.convert.source import ConversionError, Source

_BLOCKS = (3, 3, 3, 1)
"""Of each level, where a configuration does not say."""


def preview_decoder(tiny: nn.Module, height: int, width: int) -> Source:
    """The decoder of a diffusers AutoencoderTiny at latents of ``height`` x ``width``.

    ``z`` (1, C, h, w), latents as the denoiser has them -> ``image`` (1, 3, H, W), about -1 to 1. What
    scaling the autoencoder has of its own, 1 for those that are published, is part of the network.
    """
    config: Any = tiny.config
    z = np.random.default_rng(0).standard_normal((1, config.latent_channels, height, width), np.float32)
    return Source("preview_decoder", _Decoder(tiny), ({"z": z},), ("image",))


def refuse_other_latents(config: Mapping[str, Any], channels: int, scale: int) -> None:
    """Refuse an AutoencoderTiny that is made for other latents than a model has.

    ``scale`` is pixels for each latent along one side. Raises :class:`ConversionError`.
    """
    blocks, factor = config.get("num_decoder_blocks", _BLOCKS), config.get("upsampling_scaling_factor", 2)
    levels = len(blocks) if isinstance(blocks, list | tuple) else 0
    if (config.get("latent_channels", 4), factor, levels - 1) != (channels, 2, scale.bit_length() - 1):
        raise ConversionError(
            "the preview decoder does not fit the model",
            f"it is not made for latents of {channels} channels and {scale} x {scale} pixels",
            "give the one that was made for this kind of model",
        )


class _Decoder(nn.Module):
    def __init__(self, tiny: nn.Module) -> None:
        super().__init__()
        self.decoder = tiny.decoder
        config: Any = tiny.config
        self.scaling_factor = float(config.scaling_factor)
        self.shift_factor = float(config.shift_factor)

    def forward(self, z: Tensor) -> tuple[Tensor]:
        if (self.scaling_factor, self.shift_factor) != (1, 0):
            z = z / self.scaling_factor + self.shift_factor
        return (self.decoder(z),)  # type: ignore[operator]
