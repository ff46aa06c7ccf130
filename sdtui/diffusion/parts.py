"""Which networks of a bundle a picture needs, and where each lies in the picture's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import CONTROLNET_FOLDER
from sdtui.bundle.facts import Shape, read_facts
from sdtui.bundle.manifest import Family
from sdtui.diffusion.tiles import tile_size
from sdtui.request import GenerationRequest

Size = tuple[int, int]
"""Width and height in pixels."""


VAE = ("vae_encoder", "vae_decoder")
"""Networks that take larger pictures than they are made for, in tiles."""
_ALL_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
_ENCODERS: Mapping[Family, tuple[str, ...]] = {
    "sd": ("text_encoder",),
    "sdxl": ("text_encoder_2",),
    "sdxl-refiner": ("text_encoder_2",),
    "sd3": ("text_encoder", "text_encoder_2"),
}
"""The text encoders without which a family understands nothing."""


@dataclass(frozen=True)
class Part:
    """A network as it is loaded: its name in :attr:`Bundle.entries`, and the size of the picture.

    ``size`` is None for a text encoder and the safety checker, which are the same for all.
    """

    name: str
    size: Size | None = None


def needed(bundle: Bundle, request: GenerationRequest) -> tuple[Part, ...]:
    """The networks of ``request``, in the order in which they are run."""
    size = picture_size(bundle, request)
    required = _ENCODERS[bundle.manifest.family]
    texts = [Part(name) for name in _ALL_ENCODERS if name in required or name in bundle.entries]
    pictured = [Part(name, size) for name in _of_size(bundle, request)]
    if request.image is not None:
        pictured.insert(0, Part("vae_encoder", vae_size(bundle, "vae_encoder", request)))
    pictured.append(Part("vae_decoder", vae_size(bundle, "vae_decoder", request)))
    checked = [Part("safety_checker")] if is_checked(bundle, request) else []
    return (*texts, *pictured, *checked)


def previewing(bundle: Bundle, request: GenerationRequest) -> Part | None:
    """The tiny decoder that previews are made with, where the bundle has one for the picture's size."""
    size = picture_size(bundle, request)
    if "preview_decoder" not in bundle.entries or size not in sizes(bundle, "preview_decoder"):
        return None
    return Part("preview_decoder", size)


def _of_size(bundle: Bundle, request: GenerationRequest) -> Iterator[str]:
    for control in request.controls:
        yield f"{CONTROLNET_FOLDER}/{control.name}"
    yield denoiser(bundle, request)
    if refined(bundle, request):
        yield "refiner"


def denoiser(bundle: Bundle, request: GenerationRequest) -> str:
    """The network that takes the noise away: with ControlNets the one that listens to them."""
    if bundle.manifest.family == "sd3":
        return "mmdit"
    only = "unet" not in bundle.entries and "control_unet" in bundle.entries
    return "control_unet" if request.controls or only else "unet"


def refined(bundle: Bundle, request: GenerationRequest) -> bool:
    """Whether SDXL's refiner finishes the picture."""
    return bundle.manifest.family == "sdxl" and "refiner" in bundle.entries and request.refiner_start < 1


def is_checked(bundle: Bundle, request: GenerationRequest) -> bool:
    """Whether a safety checker looks at the picture."""
    return request.safety_checker and "safety_checker" in bundle.entries


def vae_size(bundle: Bundle, name: str, request: GenerationRequest) -> Size:
    """The size in which a half of the VAE is run: the picture's own, or that of tiles."""
    size = picture_size(bundle, request)
    known = sizes(bundle, name) if name in bundle.entries else ()
    return tile_size(known, size, smaller=request.tiled) or size


def picture_size(bundle: Bundle, request: GenerationRequest) -> Size:
    """Width and height that are asked for, else the model's own."""
    return request.width or bundle.manifest.width, request.height or bundle.manifest.height


def sizes(bundle: Bundle, name: str) -> set[Size]:
    """The pictures that a network is made for."""
    entry = bundle.entries[name]
    others = (label.split("x") for label in (*entry.sizes, *entry.functions))
    return {
        (bundle.manifest.width, bundle.manifest.height),
        *((int(width), int(height)) for width, height in others),
    }


def packages(bundle: Bundle, part: Part) -> tuple[tuple[Path, str | None], ...]:
    """The packages that a part is run through in their order, one or two, and the function of each.

    The function is None for a package's default one.
    """
    entry = bundle.entries[part.name]
    label = "x".join(map(str, part.size or ()))
    if label in entry.sizes:
        return ((bundle.path / entry.sizes[label], None),)
    function = entry.functions.get(label)
    halves = (entry.file, entry.second_half)
    return tuple((bundle.path / file, function) for file in halves if file is not None)


def inputs(bundle: Bundle, name: str) -> Mapping[str, Shape]:
    """What a network takes, without loading it: its inputs' shapes. Raises :class:`NetworkError`."""
    entry = bundle.entries[name]
    return _shapes(bundle.path / entry.file, entry.sha256)[0]


def outputs(bundle: Bundle, name: str) -> Mapping[str, Shape]:
    """What a network gives, likewise; shapes that its package does not say are ()."""
    entry = bundle.entries[name]
    return _shapes(bundle.path / entry.file, entry.sha256)[1]


def token_chunks(bundle: Bundle, name: str) -> int:
    """How many chunks of a text encoder's tokens fit into what a denoiser reads. Raises NetworkError."""
    words = inputs(bundle, name).get("encoder_hidden_states", ())
    return max(1, words[-1] // bundle.manifest.token_length) if words else 1


@lru_cache(maxsize=16)
def _shapes(network: Path, _sha256: str) -> tuple[Mapping[str, Shape], Mapping[str, Shape]]:
    facts = read_facts(network)
    return facts.inputs, facts.outputs
