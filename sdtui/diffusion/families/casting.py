"""Which family makes a picture, with which networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import NetworkRole
from sdtui.diffusion.families.conditions import Family, guidance_embedding
from sdtui.diffusion.families.stable_diffusion import StableDiffusion
from sdtui.diffusion.families.stable_diffusion_3 import StableDiffusion3
from sdtui.diffusion.families.stable_diffusion_xl import StableDiffusionXL, StableDiffusionXLRefiner
from sdtui.diffusion.parts import denoiser, inputs, picture_size, refined, token_chunks
from sdtui.diffusion.prompt.truncation import cut_off
from sdtui.diffusion.text import T5Encoder, TextEncoder
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network

_CLIP: tuple[NetworkRole, ...] = ("text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Cast:
    """Who makes a picture.

    ``families`` take over from one another: SDXL's base model, then its refiner, or one alone.
    ``guided`` is whether they are guided from outside, by a negative prompt. ``note`` is for the person:
    which words of the prompts do not fit.
    """

    families: tuple[Family, ...]
    guided: bool
    note: str = ""


def cast(
    bundle: Bundle,
    request: GenerationRequest,
    clip: Callable[[NetworkRole], TextEncoder],
    t5: Callable[[], T5Encoder],
    network: Callable[[str], Network],
) -> Cast:
    """The family of ``bundle`` for ``request``. ``network`` gives what has the size of the picture.

    Nothing is loaded. Raises :class:`NetworkError`, :class:`BundleError`.
    """
    name = denoiser(bundle, request)
    shapes = inputs(bundle, name)
    chunks = token_chunks(bundle, name)
    encoders = tuple(
        replace(clip(role), chunks=chunks, clip_skip=request.clip_skip)
        for role in _CLIP
        if role in bundle.entries
    )
    unet, size = network(name), picture_size(bundle, request)
    timestep_cond = _timestep_cond(request, shapes.get("timestep_cond"))
    guided = request.guidance_scale > 1 and timestep_cond is None
    note = cut_off(request, encoders[0].tokenizer, chunks)
    match bundle.manifest.family:
        case "sdxl":
            base = StableDiffusionXL(encoders, unet, *size, timestep_cond)
            if not refined(bundle, request):
                return Cast((base,), guided, note)
            refiner = StableDiffusionXLRefiner(encoders[-1], network("refiner"), *size)
            return Cast((base, refiner), guided, note)
        case "sd3":
            _, width, _, tokens = shapes["token_level_text_embeddings"]
            words = t5() if "text_encoder_3" in bundle.entries else None
            return Cast((StableDiffusion3(encoders, words, unet, tokens, width),), guided, note)
        case _:
            return Cast((StableDiffusion(encoders[0], unet, timestep_cond),), guided, note)


def _timestep_cond(request: GenerationRequest, shape: tuple[int, ...] | None) -> Array | None:
    return None if shape is None else guidance_embedding(request.guidance_scale, shape[-1])
