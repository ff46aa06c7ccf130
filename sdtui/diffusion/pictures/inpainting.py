"""Inpainting: a part of a picture is painted anew, the rest stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdtui.diffusion.schedulers import noised


@dataclass(frozen=True)
class Keeping:
    """Latent masking, with which any model inpaints: after each step what stays is put back.

    ``mask`` (1, 1, h, w) is 1 where it is painted and 0 where the picture stays, ``latents`` (1, C, h, w)
    are the picture's, ``noise`` what the walk began with. As in diffusers' StableDiffusionInpaintPipeline
    with a UNet of 4 channels.
    """

    mask: Tensor
    latents: Tensor
    noise: Tensor

    def restored(self, latents: Tensor, scheduler: Any, timestep: Tensor | None) -> Tensor:
        """``latents`` after a step, what stays being as noisy as ``timestep``, the next one, will have it.

        None after the last step: what stays is clean.
        """
        kept = self.latents if timestep is None else noised(scheduler, self.latents, self.noise, timestep)
        return (1 - self.mask) * kept + self.mask * latents


def inpainting_channels(mask: Tensor, masked_latents: Tensor) -> Tensor:
    """What an inpainting UNet is shown beside the sample: the mask, and the picture without what it hides.

    (1, 1 + C, h, w): a UNet of 2C + 1 channels takes the sample, the mask and ``masked_latents``.
    """
    return torch.cat([mask, masked_latents], dim=1)
