"""What a Stable Diffusion 2 UNet predicts: nothing in its file says so."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def predicts_noise(unet: nn.Module) -> bool:
    """Whether ``unet`` predicts the noise (epsilon) rather than the velocity.

    At the last timestep the latents are noise, all but 0.5 % of their variance. A network that
    predicts the noise returns what it was given; the velocity (Salimans and Ho, 2022),
    sqrt(a) noise - sqrt(1 - a) image with a = 0.005, has nearly nothing of it.
    """
    config: Any = unet.config
    dtype = next(unet.parameters()).dtype
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(1, config.in_channels, 8, 8, generator=random)
    words = torch.zeros(1, 2, config.cross_attention_dim, dtype=dtype)
    with torch.no_grad():
        predicted = unet(noise.to(dtype), 999, words, return_dict=False)[0].float()
    seen = noise[:, : predicted.shape[1]].flatten()  # an inpainting UNet is given a mask besides
    return bool(torch.corrcoef(torch.stack((seen, predicted.flatten())))[0, 1] > 0.5)
