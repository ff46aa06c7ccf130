"""What a request asks of a model with its pictures, checked before any network is loaded."""

from __future__ import annotations

from sdtui.bundle import Bundle
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.parts import denoiser, inputs
from sdtui.diffusion.pictures.control import RESIDUAL
from sdtui.request import GenerationRequest


def inpaints(request: GenerationRequest, bundle: Bundle) -> bool:
    """Whether the UNet is shown mask and picture too. Raises :class:`DiffusionError` for other channels."""
    if bundle.manifest.family == "sd3":
        return False
    channels, own = inputs(bundle, denoiser(bundle, request))["sample"][1], bundle.manifest.latent_channels
    if channels in (own, 2 * own + 1):
        return channels != own
    raise DiffusionError(
        f"{bundle.name} makes no pictures",
        f"its UNet takes {channels} channels, not {own}, or {2 * own + 1} to inpaint",
        "choose another model",
    )


def check_pictures(request: GenerationRequest, bundle: Bundle) -> None:
    """Refuse what ``bundle`` cannot do with the request's pictures. Raises :class:`DiffusionError`."""
    _check_what_belongs_together(request, bundle)
    _check_controls(request, bundle)
    _check_inpainting(request, bundle)


def _check_what_belongs_together(request: GenerationRequest, bundle: Bundle) -> None:
    manifest = bundle.manifest
    if request.image is None:
        for field in ("mask", "outpaint"):
            if getattr(request, field) is not None:
                raise DiffusionError(
                    f"there is nothing to {'mask' if field == 'mask' else 'paint around'}",
                    f"{field} was given without a picture",
                    "add --image",
                )
        return
    if "vae_encoder" not in manifest.networks:
        raise DiffusionError(
            f"{bundle.name} cannot start from a picture",
            "it has no VAE encoder",
            f"run `sdtui convert {_source(bundle)}` with its VAE encoder",
        )
    left, top, right, bottom = request.outpaint or (0, 0, 0, 0)
    width, height = request.width or manifest.width, request.height or manifest.height
    if left + right >= width or top + bottom >= height:
        raise DiffusionError(
            "there is no room for the picture",
            f"the margins fill {width} x {height} pixels",
            "make them smaller",
        )


def _check_controls(request: GenerationRequest, bundle: Bundle) -> None:
    if not request.controls:
        return
    known = bundle.manifest.controlnets
    convert = f"`sdtui convert {_source(bundle)} --unet-support-controlnet --convert-controlnet NAME`"
    deaf = DiffusionError(
        f"{bundle.name} cannot follow ControlNets",
        "its UNet has no inputs for what they add",
        f"convert it with {convert}",
    )
    if "control_unet" not in bundle.manifest.networks:
        raise deaf
    for control in request.controls:
        if control.name not in known:
            raise DiffusionError(
                f"{bundle.name} has no ControlNet {control.name}",
                f"it has {', '.join(sorted(known)) or 'none'}",
                "choose one of them" if known else f"convert it with {convert}",
            )
    if not any(name.startswith(RESIDUAL) for name in inputs(bundle, "control_unet")):
        raise deaf


def _check_inpainting(request: GenerationRequest, bundle: Bundle) -> None:
    if denoiser(bundle, request) not in bundle.entries or not inpaints(request, bundle):
        return
    if request.mask is None and request.outpaint is None:
        raise DiffusionError(
            f"{bundle.name} needs a picture and a mask",
            "it is an inpainting model",
            "add --image and --mask, or choose another model",
        )


def _source(bundle: Bundle) -> str:
    return bundle.manifest.source or "MODEL"
