"""What a model cannot do, said in one line before any of its networks is loaded."""

from __future__ import annotations

from sdtui.bundle import Bundle
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.parts import VAE, Size, needed, picture_size, sizes
from sdtui.diffusion.pictures.checking import check_pictures
from sdtui.diffusion.prompt.checking import check_prompts
from sdtui.diffusion.tiles import tile_size
from sdtui.request import GenerationRequest, LoRA


def check(request: GenerationRequest, bundle: Bundle) -> None:
    """Refuse what ``bundle`` cannot do.

    Raises :class:`DiffusionError`, :class:`~sdtui.diffusion.pictures.opening.PictureError`, or
    :class:`NetworkError` for a network whose inputs cannot be read.
    """
    _check_family(bundle)
    check_pictures(request, bundle)
    _check_networks(request, bundle)
    _check_size(request, bundle)
    _check_loras(request, bundle)
    check_prompts(request, bundle)


def _check_family(bundle: Bundle) -> None:
    if bundle.manifest.family == "sdxl-refiner":
        raise DiffusionError(
            f"{bundle.name} makes no pictures by itself",
            "it is a refiner, which finishes what SDXL begins",
            "convert SDXL with --refiner, or choose another model",
        )


def _check_networks(request: GenerationRequest, bundle: Bundle) -> None:
    for part in needed(bundle, request):
        if part.name not in bundle.entries:
            raise DiffusionError(
                f"{bundle.name} cannot do this",
                f"it has no {part.name.replace('_', ' ')}",
                "convert it again with all its networks, or choose another model",
            )


def _check_size(request: GenerationRequest, bundle: Bundle) -> None:
    wanted = picture_size(bundle, request)
    parts = [part for part in needed(bundle, request) if part.size is not None]
    common = set.intersection(*(sizes(bundle, part.name) for part in parts if part.name not in VAE))
    for name in (part.name for part in parts if part.name in VAE):
        tiles = sizes(bundle, name)
        if request.tiled and tile_size(tiles, wanted, smaller=True) is None:
            raise DiffusionError(
                f"{bundle.name} has no tiles for {_named(wanted)} pixels",
                f"its {name.replace('_', ' ').replace('vae', 'VAE')} is made for nothing smaller",
                "leave tiled out, or convert the model in a smaller size too",
            )
        common = {size for size in common if tile_size(tiles, size, smaller=False)}
    if wanted not in common:
        one = len(common) == 1
        raise DiffusionError(
            f"{bundle.name} cannot make {_named(wanted)} pixels",
            f"it has {'one size' if one else 'these sizes'}, {', '.join(map(_named, sorted(common)))}",
            f"ask for {'that size' if one else 'one of them'} or choose another model",
        )


def _check_loras(request: GenerationRequest, bundle: Bundle) -> None:
    built = built_loras(bundle)
    if request.loras and set(request.loras) != set(built):
        raise DiffusionError(
            f"{bundle.name} was not built with these LoRAs",
            f"it has {', '.join(f'{each.name}:{each.weight:g}' for each in built) or 'none'}",
            f"run `sdtui convert {bundle.manifest.source or 'MODEL'} --lora FILE:WEIGHT` for each of them",
        )


def built_loras(bundle: Bundle) -> tuple[LoRA, ...]:
    """The LoRAs that the model was built with."""
    adapters = (each for each in bundle.manifest.adapters if each.kind == "lora")
    return tuple(LoRA(name=each.name, weight=each.weight) for each in adapters)


def _named(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
