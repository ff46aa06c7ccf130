"""Pictures and masks brought to the size and the numbers that networks take."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from sdtui.runtime import Array


def fit(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture at ``width`` x ``height``, filling it: what is too long on two sides is cut off there.

    Lanczos, as in diffusers' VaeImageProcessor, whose result it is where the proportions are the same.
    """
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def same_shape(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures have the same proportions, but for a pixel that rounding takes."""
    width, height = one.size
    return (
        abs(other.width * height / width - other.height) <= 1
        and abs(other.height * width / height - other.width) <= 1
    )


def levels(picture: Image.Image) -> Array:
    """The pixels in 0 to 1: float32 (1, 3, H, W), or (1, 1, H, W) of a grey picture."""
    pixels = np.asarray(picture, np.float32) / 255
    return pixels.reshape(1, *picture.size[::-1], -1).transpose(0, 3, 1, 2)


def mask_levels(mask: Image.Image) -> Array:
    """A grey mask as 1 where it is at least half white, else 0: float32 (1, 1, H, W).

    Hard edges as in diffusers' inpainting pipelines, whose mask processor binarises at 0.5.
    """
    return (levels(mask) >= 0.5).astype(np.float32)


def latent_mask(mask: Array, scale: int) -> Array:
    """A mask (1, 1, H, W) in the cells of latents: (1, 1, h, w), each as its upper left pixel is.

    Nearest neighbour, as diffusers has it: torch.nn.functional.interpolate's default.
    """
    return mask[:, :, ::scale, ::scale]
