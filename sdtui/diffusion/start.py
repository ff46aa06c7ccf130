"""What a walk begins with: noise, a picture under noise, and what of it is to stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sdtui.diffusion.course import starting_latents
from sdtui.diffusion.loop import Leg
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.pictures.fitting import latent_mask, levels, mask_levels
from sdtui.diffusion.pictures.given import Given
from sdtui.diffusion.pictures.inpainting import Keeping, inpainting_channels
from sdtui.diffusion.variation import varied
from sdtui.request import GenerationRequest
from sdtui.runtime import Array

GREY = 0.5
"""What an inpainting model is shown where the picture is hidden."""


@dataclass(frozen=True)
class Start:
    """``latents`` (1, C, h, w) as noisy as the walk begins.

    ``keeping`` is what stays of the picture; ``channels`` (1, C + 1, h, w) what an inpainting model is
    shown beside the sample.
    """

    latents: Tensor
    keeping: Keeping | None = None
    channels: Array | None = None


def start(
    request: GenerationRequest,
    given: Given,
    walk: tuple[Leg, ...],
    noise: Noise,
    encode: Callable[[Array], Tensor],
    shape: tuple[int, ...],
    *,
    inpaints: bool,
) -> Start:
    """Where ``walk`` begins for latents of ``shape`` (1, C, h, w).

    ``encode`` turns a picture (1, 3, H, W) in 0 to 1 into latents; ``inpaints`` is whether the model is
    shown the mask. Random numbers are drawn in the order of diffusers' pipelines.
    """
    if given.image is None:
        return Start(starting_latents(walk, varied(noise.draw(shape), request), None))
    picture = levels(given.image)
    if given.mask is None:
        under = encode(picture)
        return Start(starting_latents(walk, varied(noise.draw(shape), request), under))
    anew = request.strength == 1  # nothing of the picture is left under the mask
    latents = None if anew and inpaints else encode(picture)
    drawn = varied(noise.draw(shape), request)
    beginning = starting_latents(walk, drawn, None if anew else latents)
    pixels = mask_levels(given.mask)
    mask = torch.from_numpy(latent_mask(pixels, picture.shape[-1] // shape[-1]))
    if inpaints:
        hidden = encode(picture * (1 - pixels) + GREY * pixels)
        return Start(beginning, channels=inpainting_channels(mask, hidden).numpy())
    assert latents is not None
    noise.draw(shape)  # diffusers encodes the hidden picture for every model, and draws for it
    return Start(beginning, Keeping(mask, latents, drawn))
