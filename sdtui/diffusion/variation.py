"""Variations: a picture's noise, turned towards that of another seed."""

from __future__ import annotations

import torch
from torch import Tensor

from sdtui.diffusion.noise import Noise
from sdtui.request import GenerationRequest


def varied(noise: Tensor, request: GenerationRequest) -> Tensor:
    """``noise`` (1, C, h, w), turned by ``variation_strength`` to the noise of ``variation_seed``."""
    if request.variation_seed is None or request.variation_strength == 0:
        return noise
    other = Noise(request.variation_seed, request.rng).draw(tuple(noise.shape))
    return slerp(noise, other, request.variation_strength)


def slerp(first: Tensor, second: Tensor, fraction: float) -> Tensor:
    """Spherical linear interpolation (Shoemake 1985) of two tensors as vectors; 0 is the first.

    Between normal noises it stays as large as they are, which a straight line does not. Vectors that
    point the same way, or opposite ways, have no arc between them: there it is a straight line.
    """
    cosine = torch.nn.functional.cosine_similarity(first.double().flatten(), second.double().flatten(), dim=0)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if torch.sin(angle) < 1e-6:
        return (1 - fraction) * first + fraction * second
    weights = torch.sin((1 - fraction) * angle), torch.sin(fraction * angle)
    mixed = (weights[0] * first + weights[1] * second) / torch.sin(angle)
    return mixed.to(first.dtype)
