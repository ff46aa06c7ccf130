"""What a request asks of a model with its pictures, checked before any network is loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sdtui.bundle import Bundle
from sdtui.bundle.facts import read_facts
from sdtui.bundle.manifest import NetworkRole
from sdtui.diffusion.errors import DiffusionError
from sdtui.request import GenerationRequest


def denoiser_role(request: GenerationRequest, bundle: Bundle) -> NetworkRole:
    """Which network of a UNet model removes the noise: with ControlNets the one that listens to them."""
    networks = bundle.manifest.networks
    if request.controls or "unet" not in networks:
        return "control_unet"
    return "unet"


def inpaints(bundle: Bundle, role: NetworkRole) -> bool:
    """Whether a UNet is shown mask and picture too. Raises :class:`DiffusionError` for other channels."""
    channels, latent_channels = _channels(bundle, role), bundle.manifest.latent_channels
    if channels in (latent_channels, 2 * latent_channels + 1):
        return channels != latent_channels
    raise DiffusionError(
        f"{bundle.name} makes no pictures",
        f"its UNet takes {channels} channels, not {latent_channels}, or {2 * latent_channels + 1} to inpaint",
        "choose another model",
    )


def check_pictures(request: GenerationRequest, bundle: Bundle) -> None:
    """Refuse what ``bundle`` cannot do with the request's pictures. Raises :class:`DiffusionError`."""
    _check_what_belongs_together(request, bundle)
    _check_controls(request, bundle)
    if bundle.manifest.family in ("sd", "sdxl"):
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
    if "control_unet" not in bundle.manifest.networks:
        raise DiffusionError(
            f"{bundle.name} cannot follow ControlNets",
            "its UNet has no inputs for what they add",
            f"convert it with {convert}",
        )
    for control in request.controls:
        if control.name not in known:
            raise DiffusionError(
                f"{bundle.name} has no ControlNet {control.name}",
                f"it has {', '.join(sorted(known)) or 'none'}",
                "choose one of them" if known else f"convert it with {convert}",
            )


def _check_inpainting(request: GenerationRequest, bundle: Bundle) -> None:
    if not inpaints(bundle, denoiser_role(request, bundle)):
        return
    if request.mask is None and request.outpaint is None:
        raise DiffusionError(
            f"{bundle.name} needs a picture and a mask",
            "it is an inpainting model",
            "add --image and --mask, or choose another model",
        )


def _source(bundle: Bundle) -> str:
    return bundle.manifest.source or "MODEL"


def _channels(bundle: Bundle, role: NetworkRole) -> int:
    return _read_channels(bundle.network(role), bundle.manifest.networks[role].sha256)


@lru_cache(maxsize=16)
def _read_channels(package: Path, _sha256: str) -> int:
    """The channels of a UNet's sample. Raises :class:`NetworkError`."""
    return read_facts(package).inputs["sample"][1]
