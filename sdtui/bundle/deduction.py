"""What the networks of a model say together: its family, its sizes, and whether they belong together.

Nothing is taken from names that can be seen in inputs and shapes: files are renamed, and Apple's own
names do not tell SDXL from Stable Diffusion 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from sdtui.bundle.bundle import BundleError
from sdtui.bundle.facts import NetworkFacts, Shape
from sdtui.bundle.manifest import Family, NetworkRole
from sdtui.bundle.scheduler import PredictionType

DENOISERS: tuple[NetworkRole, ...] = ("unet", "control_unet", "mmdit", "refiner")
"""Who removes the noise, the one that a model is recognised by first."""

_REQUIRED: Mapping[Family, tuple[NetworkRole, ...]] = {
    "sd": ("text_encoder", "vae_decoder"),
    "sdxl": ("text_encoder_2", "vae_decoder"),
    "sdxl-refiner": ("text_encoder_2", "vae_decoder"),
    "sd3": ("text_encoder", "text_encoder_2", "vae_decoder"),
}
_TELLING_INPUTS: Mapping[NetworkRole, tuple[str, ...]] = {
    "text_encoder": ("input_ids",),
    "text_encoder_2": ("input_ids",),
    "text_encoder_3": ("input_ids", "attention_mask"),
    "text_projection": ("nlcontextualembeddings_output",),
    "unet": ("sample", "timestep", "encoder_hidden_states"),
    "control_unet": ("sample", "timestep", "encoder_hidden_states"),
    "refiner": ("sample", "timestep", "encoder_hidden_states", "time_ids"),
    "mmdit": ("latent_image_embeddings", "timestep", "token_level_text_embeddings"),
    "controlnet": ("sample", "timestep", "encoder_hidden_states", "controlnet_cond"),
    "vae_decoder": ("z",),
    "vae_encoder": ("x",),
    "preview_decoder": ("z",),
    "safety_checker": ("clip_input",),
}
_SCALING: Mapping[Family, tuple[float, float]] = {
    "sd": (0.18215, 0.0),
    "sdxl": (0.13025, 0.0),
    "sdxl-refiner": (0.13025, 0.0),
    "sd3": (1.5305, 0.0609),
}
_SD2_WIDTH = 1024
"""How many numbers a word of Stable Diffusion 2 has; version 1 has 768."""


@dataclass(frozen=True)
class Deduction:
    """What a manifest says of a whole model. Sizes are pixels, ``scale`` pixels per latent."""

    family: Family
    width: int
    height: int
    scale: int
    latent_channels: int
    scaling_factor: float
    shift_factor: float
    token_length: int
    pad_token: str
    sd2: bool
    einsum: bool
    target: str | None


def join(what: str, halves: tuple[NetworkFacts, ...]) -> NetworkFacts:
    """The facts of a network from those of its halves. Raises :class:`BundleError` if they do not meet."""
    if len(halves) == 1:
        return halves[0]
    first, second = halves
    if not first.outputs.keys() & second.inputs.keys():
        raise _unfit(what, "the two halves do not meet", "get both from the same place")
    rest = {name: shape for name, shape in second.inputs.items() if name not in first.outputs}
    return NetworkFacts(
        inputs={**first.inputs, **rest},
        outputs=second.outputs,
        einsum=first.einsum or second.einsum,
        target=first.target,
        model_id=first.model_id or second.model_id,
        licence=first.licence or second.licence,
        nbits=first.nbits,
        encoding=first.encoding,
    )


def true_role(role: NetworkRole, facts: NetworkFacts) -> NetworkRole:
    """What a denoiser is by its inputs, whatever its file is called; other roles stay."""
    if role not in DENOISERS:
        return role
    if "latent_image_embeddings" in facts.inputs:
        return "mmdit"
    if role == "unet" and "additional_residual_0" in facts.inputs:
        return "control_unet"
    return role


def deduce(networks: Mapping[NetworkRole, NetworkFacts], folder: str) -> Deduction:
    """Everything that follows from the networks of the model in ``folder``.

    Raises :class:`BundleError` when one is missing, is not what its name says, or does not fit the others.
    """
    for role, facts in networks.items():
        _check_inputs(folder, role, facts)
    denoiser = next((networks[role] for role in DENOISERS if role in networks), None)
    if denoiser is None:
        raise _incomplete(folder, ("unet",))
    family = _family(denoiser)
    if missing := tuple(role for role in _REQUIRED[family] if role not in networks):
        raise _incomplete(folder, missing)

    z = networks["vae_decoder"].inputs["z"]
    scale = _scale(networks)
    _check_sizes(folder, networks, scale)
    encoder = networks.get("text_encoder") or networks["text_encoder_2"]
    words = denoiser.inputs.get("encoder_hidden_states", ())
    if family != "sd3":
        _check_words(folder, words, encoder, family)
        channels = denoiser.inputs["sample"][1]
        if channels not in (z[1], 2 * z[1] + 1):  # the second for inpainting: mask and picture too
            why = f"its unet works on {channels} channels, its vae decoder on {z[1]}"
            raise _unfit(folder, why, "get networks that were made together")
    sd2 = family == "sd" and words[1] == _SD2_WIDTH
    scaling_factor, shift_factor = _SCALING[family]
    return Deduction(
        family=family,
        width=z[3] * scale,
        height=z[2] * scale,
        scale=scale,
        latent_channels=z[1],
        scaling_factor=scaling_factor,
        shift_factor=shift_factor,
        token_length=encoder.inputs["input_ids"][-1],
        pad_token="!" if sd2 else "<|endoftext|>",
        sd2=sd2,
        einsum=denoiser.einsum,
        target=denoiser.target,
    )


def prediction_type(deduction: Deduction, model_ids: str) -> PredictionType | None:
    """What the UNet predicts, as far as its size and the model's names tell; None where they do not.

    Only Stable Diffusion 2 in its 768 px version predicts v; the one called "base" does not.
    """
    if not deduction.sd2:
        return "epsilon"
    known = "stable-diffusion-2" in model_ids.lower()
    if known and "base" not in model_ids.lower() and min(deduction.width, deduction.height) >= 768:
        return "v_prediction"
    return "epsilon" if known else None


def controls(controlnet: NetworkFacts, unet: NetworkFacts) -> bool:
    """Whether a ControlNet was made for a UNet like this: the same latents, words and residuals."""
    residuals = sum(name.startswith("additional_residual_") for name in unet.inputs)
    return (
        controlnet.inputs.keys() >= set(_TELLING_INPUTS["controlnet"])
        and controlnet.inputs["sample"][1:] == unet.inputs["sample"][1:]
        and controlnet.inputs["encoder_hidden_states"][1:] == unet.inputs["encoder_hidden_states"][1:]
        and sum(name.startswith("additional_residual_") for name in controlnet.outputs) == residuals
    )


def _family(denoiser: NetworkFacts) -> Family:
    if "latent_image_embeddings" in denoiser.inputs:
        return "sd3"
    if "time_ids" not in denoiser.inputs:
        return "sd"
    # (2, 6), or flat (12,) in older conversions; a refiner has 5 for each of the batch.
    numbers = prod(denoiser.inputs["time_ids"]) // denoiser.inputs["sample"][0]
    return "sdxl-refiner" if numbers == 5 else "sdxl"


def _scale(networks: Mapping[NetworkRole, NetworkFacts]) -> int:
    """Pixels per latent: from a picture's shape where a network tells one, else what all families have."""
    z = networks["vae_decoder"].inputs["z"]
    image = networks["vae_decoder"].outputs.get("image", ())
    if len(image) != 4 and "vae_encoder" in networks:
        image = networks["vae_encoder"].inputs["x"]
    scale = image[2] // z[2] if len(image) == 4 else 8
    return scale if scale and image[2:] == (z[2] * scale, z[3] * scale) else 8


def _check_inputs(folder: str, role: NetworkRole, facts: NetworkFacts) -> None:
    pictures = {"sample", "latent_image_embeddings", "z", "x", "controlnet_cond"}
    for name in _TELLING_INPUTS[role]:
        if name not in facts.inputs:
            raise _unfit(folder, f"its {_read(role)} has no input {name}", "get or convert it again")
        shape = facts.inputs[name]
        if not shape or min(shape) < 1 or (name in pictures and len(shape) != 4):
            why = f"the {name} of its {_read(role)} has the shape {list(shape)}"
            raise _unfit(folder, why, "get or convert it again")


def _check_sizes(folder: str, networks: Mapping[NetworkRole, NetworkFacts], scale: int) -> None:
    sizes = dict(_sizes(networks, scale))
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{_read(role)} {width}x{height}" for role, (width, height) in sizes.items())
        raise _unfit(folder, f"its networks are of different sizes: {each}", "convert them at one size")


def _sizes(
    networks: Mapping[NetworkRole, NetworkFacts], scale: int
) -> Iterator[tuple[NetworkRole, tuple[int, int]]]:
    latents = {"vae_decoder": "z", "preview_decoder": "z", "mmdit": "latent_image_embeddings"}
    decoders: tuple[NetworkRole, ...] = ("vae_decoder", "preview_decoder")
    for role in (*DENOISERS, *decoders):
        if role in networks:
            shape = networks[role].inputs[latents.get(role, "sample")]
            yield role, (shape[3] * scale, shape[2] * scale)
    if "vae_encoder" in networks:
        shape = networks["vae_encoder"].inputs["x"]
        yield "vae_encoder", (shape[3], shape[2])


def _check_words(folder: str, words: Shape, encoder: NetworkFacts, family: Family) -> None:
    """Whether the UNet takes what the text encoder gives. Raises :class:`BundleError`."""
    if len(words) != 4:
        raise _unfit(folder, "its unet takes words in another layout than Apple's", "convert it again")
    tokens = encoder.inputs["input_ids"][-1]
    if words[3] != tokens:
        why = f"its text encoder reads {tokens} tokens, its unet {words[3]}"
        raise _unfit(folder, why, "get networks that were made together")
    hidden = encoder.outputs.get("last_hidden_state", ())
    if family == "sd" and hidden and hidden[-1] != words[1]:
        why = f"its text encoder gives words of {hidden[-1]} numbers, its unet takes {words[1]}"
        raise _unfit(folder, why, "get networks that were made together")


def _incomplete(folder: str, missing: tuple[NetworkRole, ...]) -> BundleError:
    names = " and no ".join(map(_read, missing))
    return BundleError(f"{folder} is not complete", f"it has no {names}", "get or convert the rest too")


def _unfit(what: str, why: str, remedy: str) -> BundleError:
    return BundleError(f"{what} cannot be imported", why, remedy)


def _read(role: NetworkRole) -> str:
    return role.replace("_", " ")
