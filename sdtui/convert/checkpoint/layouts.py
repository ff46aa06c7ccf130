"""How single files lay their networks out: told from tensor names, renamed by diffusers' functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.loaders import single_file_utils as diffusers_names
from torch import Tensor

from sdtui.bundle.clip import VOCABULARY_SIZE
from sdtui.convert.checkpoint import architectures
from sdtui.convert.checkpoint.checkpoint import Kind, unknown_family
from sdtui.convert.checkpoint.deferred import defer
from sdtui.convert.source import ConversionError

Tensors = Mapping[str, Tensor]

UNET = "model.diffusion_model."
PAD, PAD_OPEN_CLIP = "<|endoftext|>", "!"

STABLE_DIFFUSION: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
STABLE_DIFFUSION_XL = STABLE_DIFFUSION | {"_class_name": "EulerDiscreteScheduler"}
STABLE_DIFFUSION_3: Mapping[str, Any] = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "shift": 3.0,
}


@dataclass(frozen=True)
class Network:
    """A network as diffusers or transformers names it; ``tensors`` are deferred."""

    config: Mapping[str, Any]
    tensors: Tensors

    def __post_init__(self) -> None:
        if not self.tensors or not all(isinstance(tensor, Tensor) for tensor in self.tensors.values()):
            raise ValueError("tensors are missing")

    @property
    def class_name(self) -> str:
        return str(self.config.get("_class_name") or self.config["architectures"][0])

    @property
    def library(self) -> str:
        return "diffusers" if "_class_name" in self.config else "transformers"

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.dtype.itemsize for tensor in self.tensors.values())


@dataclass(frozen=True)
class Layout:
    """What a file holds. ``paddings`` are the tokens that each tokenizer pads with.

    ``ambiguous``: Stable Diffusion 2 predicts the noise at 512 pixels and the velocity at 768, and the
    file does not say which it is.
    """

    networks: Mapping[str, Network]
    paddings: Mapping[str, str]
    scheduler: Mapping[str, Any]
    ambiguous: bool = False
    warnings: tuple[str, ...] = ()


def checkpoint(tensors: Tensors) -> Layout:
    """Recognise a whole model. Raises :class:`ConversionError`; LookupError or ValueError as they come."""
    if f"{UNET}joint_blocks.0.x_block.attn.qkv.weight" in tensors or _has(tensors, "joint_blocks.0."):
        return _stable_diffusion_3(tensors)
    if f"{UNET}input_blocks.0.0.weight" not in tensors:
        raise unknown_family("the file", "it holds no UNet under a name that is known")
    if f"{UNET}label_emb.weight" in tensors or "edm_mean" in tensors:
        raise unknown_family("the file", "it is an upscaler, or trained with another noise schedule")
    if _has(tensors, "conditioner.embedders.0.transformer."):
        return _stable_diffusion_xl(tensors)
    if _has(tensors, "conditioner.embedders.0.model."):
        return _refiner(tensors)
    if f"{UNET}label_emb.0.0.weight" in tensors:
        raise unknown_family("the file", "it is conditioned on pictures, or lacks its text encoders")
    return _stable_diffusion(tensors)


def component(tensors: Tensors, kind: Kind) -> Network:
    """Recognise one network of a file, or a file that is one."""
    match kind:
        case "unet":
            return _unet(tensors if _has(tensors, UNET) else _prefixed(tensors, UNET), 64)
        case "controlnet":
            return _controlnet(tensors)
        case "vae":
            return _vae(tensors, 512)
        case "preview_decoder":
            raise unknown_family("the file", "no config.json of an AutoencoderTiny lies beside it")


def _stable_diffusion(tensors: Tensors) -> Layout:
    second = _has(tensors, "cond_stage_model.model.")
    networks: dict[str, Network] = {}
    warnings = []
    if second:
        networks["text_encoder"] = _open_clip(tensors, "cond_stage_model.model.", projection=False)
    elif _has(tensors, "cond_stage_model.transformer."):
        networks["text_encoder"] = _clip(tensors, "cond_stage_model.transformer.", projection=False)
    else:
        warnings.append("the file has no text encoder")
    networks["unet"] = _unet(tensors, 64)
    warnings += _add_vae(networks, tensors, 512, scaling_factor=0.18215)
    return Layout(
        networks,
        {"tokenizer": PAD_OPEN_CLIP if second else PAD} if "text_encoder" in networks else {},
        STABLE_DIFFUSION | _predicting(tensors),
        ambiguous=second and "v_pred" not in tensors,
        warnings=tuple(warnings),
    )


def _stable_diffusion_xl(tensors: Tensors) -> Layout:
    networks: dict[str, Network] = {
        "text_encoder": _clip(tensors, "conditioner.embedders.0.transformer.", projection=False),
        "text_encoder_2": _open_clip(tensors, "conditioner.embedders.1.model.", projection=True),
        "unet": _unet(tensors, 128),
    }
    warnings = _add_vae(networks, tensors, 1024, scaling_factor=0.13025)
    return Layout(
        networks,
        {"tokenizer": PAD, "tokenizer_2": PAD_OPEN_CLIP},
        STABLE_DIFFUSION_XL | _predicting(tensors),
        warnings=tuple(warnings),
    )


def _refiner(tensors: Tensors) -> Layout:
    networks = {
        "text_encoder_2": _open_clip(tensors, "conditioner.embedders.0.model.", projection=True),
        "unet": _unet(tensors, 128),
    }
    warnings = _add_vae(networks, tensors, 1024, scaling_factor=0.13025)
    return Layout(networks, {"tokenizer_2": PAD_OPEN_CLIP}, STABLE_DIFFUSION_XL, warnings=tuple(warnings))


def _stable_diffusion_3(tensors: Tensors) -> Layout:
    networks: dict[str, Network] = {}
    paddings: dict[str, str] = {}
    warnings = []
    for name, encoder, padding in (
        ("text_encoder", "clip_l", PAD),
        ("text_encoder_2", "clip_g", PAD_OPEN_CLIP),
    ):
        if _has(tensors, f"text_encoders.{encoder}.transformer."):
            networks[name] = _clip(
                tensors,
                f"text_encoders.{encoder}.transformer.",
                projection=True,
                act="quick_gelu" if encoder == "clip_l" else "gelu",
            )
            paddings[name.replace("text_encoder", "tokenizer")] = padding
        else:
            warnings.append(f"the file has no {name.replace('_', ' ')}")
    if _has(tensors, "text_encoders.t5xxl."):
        warnings.append("its T5 is left out: a single file has no vocabulary for it")
    bare = {name.removeprefix(UNET): tensor for name, tensor in tensors.items()}
    names = (
        "joint_blocks.",
        "x_embedder.",
        "context_embedder.",
        "y_embedder.",
        "t_embedder.",
        "final_layer.",
    )
    mine = {name: tensor for name, tensor in bare.items() if name.startswith(names) or name == "pos_embed"}
    config = architectures.mmdit(mine, 128)
    converted = diffusers_names.convert_sd3_transformer_checkpoint_to_diffusers(mine)
    networks["transformer"] = Network(config, converted)
    warnings += _add_vae(networks, tensors, 1024, scaling_factor=1.5305, shift_factor=0.0609)
    return Layout(networks, paddings, STABLE_DIFFUSION_3, warnings=tuple(warnings))


def _predicting(tensors: Tensors) -> dict[str, Any]:
    """What the empty tensors say that trainers leave in a file as marks."""
    settings: dict[str, Any] = {}
    if "v_pred" in tensors:
        settings["prediction_type"] = "v_prediction"
    if "ztsnr" in tensors:
        settings["rescale_betas_zero_snr"] = True
    return settings


def _unet(tensors: Tensors, sample_size: int) -> Network:
    mine = _starting(tensors, UNET)  # diffusers remarks on averaged weights beside them
    config = architectures.unet(_without(mine, UNET), sample_size)
    return Network(config, diffusers_names.convert_ldm_unet_checkpoint(mine, config))


def _controlnet(tensors: Tensors) -> Network:
    prefix = "control_model." if _has(tensors, "control_model.") else ""
    mine = _without(tensors, prefix)
    config = architectures.controlnet(mine)
    return Network(config, diffusers_names.convert_controlnet_checkpoint(mine, config))


def _vae(tensors: Tensors, sample_size: int, **scaling: float) -> Network:
    prefix = next((each for each in ("first_stage_model.", "vae.") if _has(tensors, each)), "")
    mine = _without(tensors, prefix)
    mine = {name: tensor for name, tensor in mine.items() if name.startswith(_VAE)}
    config = architectures.vae(mine, sample_size) | scaling
    return Network(config, diffusers_names.convert_ldm_vae_checkpoint(mine, config))


_VAE = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")


def _add_vae(networks: dict[str, Network], tensors: Tensors, sample_size: int, **scaling: float) -> list[str]:
    if not _has(tensors, "first_stage_model.") and not _has(tensors, "vae."):
        return ["the file has no VAE"]
    networks["vae"] = _vae(tensors, sample_size, **scaling)
    return []


def _clip(tensors: Tensors, prefix: str, *, projection: bool, act: str = "quick_gelu") -> Network:
    mine = diffusers_names.convert_ldm_clip_checkpoint(_starting(tensors, prefix), prefix)
    mine = {name: tensor for name, tensor in mine.items() if tensor.dtype.is_floating_point}
    if not any(name.startswith("text_model.") for name in mine):  # as transformers 5 writes it
        mine = {
            name if name.startswith("text_projection") else f"text_model.{name}": tensor
            for name, tensor in mine.items()
        }
    if projection and "text_projection.weight" not in mine:  # CLIP-L in SD3's files: the identity
        words = mine["text_model.embeddings.token_embedding.weight"]
        width, dtype = words.shape[1], words.dtype
        mine["text_projection.weight"] = defer((width, width), dtype, lambda: torch.eye(width, dtype=dtype))
    if not projection:
        mine.pop("text_projection.weight", None)
    return _text_encoder(architectures.clip(mine, projection=projection) | {"hidden_act": act}, mine)


def _open_clip(tensors: Tensors, prefix: str, *, projection: bool) -> Network:
    mine = _starting(tensors, prefix)
    config = architectures.open_clip(_without(mine, prefix), projection=projection)
    if not projection:  # Stable Diffusion 2 reads the last layer but one
        config["num_hidden_layers"] -= 1
        last = f"{prefix}transformer.resblocks.{config['num_hidden_layers']}."
        mine = {name: tensor for name, tensor in mine.items() if not name.startswith(last)}
        mine.pop(f"{prefix}text_projection", None)
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=config["hidden_size"]))
    return _text_encoder(config, diffusers_names.convert_open_clip_checkpoint(model, mine, prefix=prefix))


def _text_encoder(config: Mapping[str, Any], tensors: Tensors) -> Network:
    if config["vocab_size"] != VOCABULARY_SIZE:
        raise ConversionError(
            "the text encoder cannot be converted",
            f"its vocabulary has {config['vocab_size']} words, and CLIP's {VOCABULARY_SIZE}",
            "give a diffusers folder, which has its own",
        )
    return Network(config, tensors)


def _has(tensors: Tensors, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in tensors)


def _without(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors under ``prefix``, named without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _starting(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _prefixed(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}
