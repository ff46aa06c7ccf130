"""The pictures of a request, read from disk and brought to the size of the picture that is made."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from sdtui.diffusion.pictures.canvas import margin_mask, outpainted
from sdtui.diffusion.pictures.fitting import fit, latent_mask, mask_levels, same_shape
from sdtui.diffusion.pictures.opening import BLACK, PictureError, open_picture
from sdtui.request import GenerationRequest

SPARE = 2
"""How many times larger than needed a picture is opened: Lanczos reduces what is left."""


@dataclass(frozen=True)
class Given:
    """Pictures of one size: ``image`` RGB, ``mask`` grey (white is painted), ``controls`` RGB."""

    image: Image.Image | None
    mask: Image.Image | None
    controls: tuple[Image.Image, ...]


def read_given(request: GenerationRequest, width: int, height: int, scale: int) -> Given:
    """What ``request`` names, for a picture of ``width`` x ``height`` with ``scale`` pixels to a latent.

    What is transparent becomes white in the picture, black in masks and controls: not painted, no
    lines. Raises :class:`PictureError`.
    """
    at_least = SPARE * max(width, height)
    image = open_picture(request.image, at_least) if request.image else None
    mask = open_picture(request.mask, at_least, BLACK).convert("L") if request.mask else None
    if image is not None and mask is not None and not same_shape(image, mask):
        raise PictureError(
            request.mask or "",
            "the mask has other proportions than the picture",
            "paint it over the picture, in its size",
        )
    if request.outpaint is not None and image is not None:
        image = outpainted(image, width, height, request.outpaint)
        mask = margin_mask(width, height, request.outpaint, mask)
    elif mask is not None:
        mask = fit(mask, width, height)
    if mask is not None and not latent_mask(mask_levels(mask), scale).any():
        raise PictureError(
            request.mask or request.image or "",
            "nothing in the mask is white" if request.mask else "there is no margin to be painted",
            f"paint at least {scale} pixels white" if request.mask else f"add {scale} pixels or more",
        )
    controls = (open_picture(control.image, at_least, BLACK) for control in request.controls)
    return Given(
        image=None if image is None else fit(image, width, height),
        mask=mask,
        controls=tuple(fit(control, width, height) for control in controls),
    )
