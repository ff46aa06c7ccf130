"""The safety checker that Stable Diffusion 1 comes with: what it finds in a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sdtui.runtime import Array, Network

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
"""Of the pictures that CLIP was trained on (Radford et al. 2021)."""


def shows_unsafe(image: Image.Image, checker: Network) -> bool:
    """Whether the checker finds one of its concepts in an RGB picture of any size.

    What it would make of the picture itself is not asked for, so it is given an empty one: it takes
    pictures of one size only.
    """
    size = checker.inputs["clip_input"].shape[-1]
    answer = checker.predict(
        {
            "clip_input": as_clip_sees(image, size),
            "images": np.zeros(checker.inputs["images"].shape, np.float32),
            "adjustment": np.zeros(checker.inputs["adjustment"].shape, np.float32),
        }
    )
    return bool(answer["has_nsfw_concepts"].any())


def as_clip_sees(image: Image.Image, size: int) -> Array:
    """An RGB picture as CLIP's image processor prepares it: float32 (1, 3, size, size).

    The middle square of the picture whose shorter side was scaled (bicubic) to ``size`` pixels.
    """
    shorter = min(image.size)
    width, height = (size * side // shorter for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    square = image.resize((width, height), Image.Resampling.BICUBIC).crop(
        (left, top, left + size, top + size)
    )
    levels = (np.asarray(square, np.float32) / 255 - _MEAN) / _DEVIATION
    pixels: Array = levels.transpose(2, 0, 1)[None]
    return pixels
