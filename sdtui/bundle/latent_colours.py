"""What the latents of published models look like: a matrix for previews where nobody could fit one.

Every checkpoint of a family keeps the latents of the autoencoder that its first one was trained on, so
that the colours are the same: Stable Diffusion 1 and 2 share theirs. The numbers are least-squares fits
that were published with ComfyUI (comfy/latent_formats.py), of latents as the denoiser has them to RGB in
[-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping

from sdtui.bundle.manifest import Family, Preview

_SD = Preview(
    matrix=[
        [0.3512, 0.3250, -0.2829, -0.2120],
        [0.2297, 0.4974, 0.1762, -0.2616],
        [0.3227, 0.2350, 0.2721, -0.7177],
    ],
    bias=[0.0, 0.0, 0.0],
)
_SDXL = Preview(
    matrix=[
        [0.3651, -0.2533, 0.1076, -0.3165],
        [0.4232, -0.0042, 0.1111, -0.2492],
        [0.4341, 0.1068, -0.0362, -0.2188],
    ],
    bias=[0.1084, -0.0175, -0.0011],
)
_SD3 = Preview(
    matrix=[
        [
            *(-0.0922, 0.0311, 0.1994, 0.0856, 0.0587, -0.0006, 0.0978, -0.0042),
            *(-0.0194, -0.0488, 0.0922, -0.0278, 0.0332, -0.0069, -0.0596, -0.1448),
        ],
        [
            *(-0.0175, 0.0633, 0.0927, 0.0339, 0.0272, 0.1104, 0.0306, 0.1038),
            *(0.0020, 0.0130, 0.0988, 0.0524, 0.0456, -0.0030, -0.0465, -0.1463),
        ],
        [
            *(0.0749, 0.0954, 0.0458, 0.0902, -0.0496, 0.0309, 0.0427, 0.1358),
            *(0.0669, -0.0268, 0.0951, -0.0542, 0.0895, -0.0810, -0.0293, -0.1189),
        ],
    ],
    bias=[0.2394, 0.2135, 0.1925],
)
_PUBLISHED: Mapping[Family, Preview] = {"sd": _SD, "sdxl": _SDXL, "sdxl-refiner": _SDXL, "sd3": _SD3}


def published_colours(family: Family, channels: int, scale: int) -> Preview | None:
    """The preview matrix of a family's latents; None for latents of another shape than theirs.

    ``channels`` is what a latent has, ``scale`` how many pixels it stands for along one side.
    """
    published = _PUBLISHED[family]
    return published if (channels, scale) == (len(published.matrix[0]), 8) else None
