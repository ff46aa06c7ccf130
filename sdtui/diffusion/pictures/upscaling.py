"""A second pass in a larger size: the first decides what there is to see, the second paints it finer."""

from __future__ import annotations

from PIL import Image

from sdtui.diffusion.parts import Size
from sdtui.diffusion.pictures.fitting import fit
from sdtui.diffusion.pictures.given import Given, read_given
from sdtui.request import GenerationRequest

FIRST_PASS = "the picture of the first pass"
"""Stands where the second pass would have the path of a picture that it starts from."""


def passes(request: GenerationRequest, size: Size) -> tuple[GenerationRequest, ...]:
    """The request of each pass, the first one at ``size``: one, or two where there is to be ``upscale``.

    The second starts from the first one's picture, at the nearest multiples of 8 pixels; its ``image``
    is no path, see :func:`given_again`.
    """
    if request.upscale == 1:
        return (request,)
    width, height = (round(pixels * request.upscale / 8) * 8 for pixels in size)
    again = request.replace(
        upscale=1.0,
        width=width,
        height=height,
        image=FIRST_PASS,
        strength=request.upscale_strength,
        outpaint=_scaled(request),
    )
    return request.replace(upscale=1.0), again


def given_again(request: GenerationRequest, picture: Image.Image, size: Size, scale: int) -> Given:
    """What the second pass of ``request`` starts from: the first one's ``picture``, brought to ``size``.

    Masks and controls are read again in that size. What a mask keeps is the person's own picture,
    finer than the first pass knew it.
    """
    given = read_given(request.replace(outpaint=_scaled(request)), *size, scale)
    larger = fit(picture, *size)
    if given.image is not None and given.mask is not None:
        larger = Image.composite(larger, given.image, given.mask)
    return Given(larger, given.mask, given.controls)


def _scaled(request: GenerationRequest) -> tuple[int, int, int, int] | None:
    """The margins in pixels of the second pass."""
    if request.outpaint is None:
        return None
    left, top, right, bottom = (round(pixels * request.upscale) for pixels in request.outpaint)
    return left, top, right, bottom
