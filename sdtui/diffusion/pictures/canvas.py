"""Outpainting: a picture on a larger canvas, and the mask of what is to be painted."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sdtui.diffusion.pictures.fitting import fit

Margins = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the finished picture."""


def extend(picture: Image.Image, margins: Margins) -> Image.Image:
    """The picture with margins in the colours of its edges, which go on outwards."""
    left, top, right, bottom = margins
    rest = ((0, 0),) * (len(picture.getbands()) > 1)
    return Image.fromarray(np.pad(np.asarray(picture), ((top, bottom), (left, right), *rest), mode="edge"))


def outpainted(picture: Image.Image, width: int, height: int, margins: Margins) -> Image.Image:
    """A canvas of ``width`` x ``height`` whose inside is ``picture``, fitted into what margins leave."""
    left, top, right, bottom = margins
    return extend(fit(picture, width - left - right, height - top - bottom), margins)


def margin_mask(width: int, height: int, margins: Margins, inside: Image.Image | None = None) -> Image.Image:
    """What outpainting paints: a grey mask, white in the margins, black or the mask ``inside`` else."""
    left, top, right, bottom = margins
    size = (width - left - right, height - top - bottom)
    mask = Image.new("L", (width, height), 255)
    mask.paste(fit(inside, *size) if inside is not None else 0, (left, top, left + size[0], top + size[1]))
    return mask
