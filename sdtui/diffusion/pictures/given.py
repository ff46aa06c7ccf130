"""The pictures of a request, read from disk and brought to the size of the picture that is made."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from sdtui.diffusion.pictures.canvas import margin_mask, outpainted
from sdtui.diffusion.pictures.fitting import fit, latent_mask, mask_levels, same_shape
from sdtui.diffusion.pictures.opening import BLACK, PictureError, open_picture
from sdtui.request import GenerationRequest

PICTURE, MASK = "the picture", "the mask"
"""What messages call them: their files have been kept under names that nobody gave."""
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
    image = open_picture(request.image, PICTURE, at_least=at_least) if request.image else None
    mask = None
    if request.mask:
        mask = open_picture(request.mask, MASK, at_least=at_least, ground=BLACK).convert("L")
    if image is not None and mask is not None and not same_shape(image, mask):
        raise PictureError(
            MASK, "it has other proportions than the picture", "paint it over the picture, in its size"
        )
    if request.outpaint is not None and image is not None:
        image = outpainted(image, width, height, request.outpaint)
        mask = margin_mask(width, height, request.outpaint, mask)
    elif mask is not None:
        mask = fit(mask, width, height)
    if mask is not None and not latent_mask(mask_levels(mask), scale).any():
        raise _nothing_to_paint(request, scale)
    controls = (
        open_picture(control.image, f"the picture for {control.name}", at_least=at_least, ground=BLACK)
        for control in request.controls
    )
    return Given(
        image=None if image is None else fit(image, width, height),
        mask=mask,
        controls=tuple(fit(control, width, height) for control in controls),
    )


def _nothing_to_paint(request: GenerationRequest, scale: int) -> PictureError:
    """The mask's latents, one for ``scale`` x ``scale`` pixels, are all kept."""
    if request.mask:
        return PictureError(MASK, "nothing in it is white", f"paint at least {scale} pixels white")
    return PictureError("outpaint", "it adds too little to the picture", f"add {scale} pixels or more")
