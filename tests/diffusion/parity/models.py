"""A model of each family: as diffusers' pipelines, and converted from their folder to a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import (
    ControlNetModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

from sdtui.conversion import ComputePrecision, ConversionRequest, Part
from sdtui.convert.conversion import convert
from sdtui.convert.step import run_here
from tests.diffusion.parity import networks
from tests.diffusion.parity.networks import TEXT, TEXT_2, made
from tests.tiny import PIXELS, SCHEDULER_CONFIG, TOKENS

CONTROLNETS = ("edges", "pose")
CLIP_TOKENS = 77
"""SD3's transformers are made for 77 tokens of CLIP and 77 of T5."""
XL_CONFIG = {**SCHEDULER_CONFIG, "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}
FLOW_CONFIG = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
_USUAL: tuple[Part, ...] = ("text-encoder", "unet", "vae-decoder", "vae-encoder")


@dataclass(frozen=True)
class Model:
    """``pipeline`` is diffusers' for text to image, ``refiner`` its second one where there is one.

    ``call`` is what every call of the pipelines is given, ``parts`` what is converted (None: the usual),
    ``controlnets`` what is converted with it and by which names.
    """

    pipeline: Any
    refiner: Any = None
    call: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] | None = None
    controlnets: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scheduler_config(self) -> dict[str, Any]:
        """What its scheduler_config.json holds."""
        config: dict[str, Any] = json.loads(self.pipeline.scheduler.to_json_string())
        return config


def sd(folder: Path, prediction_type: str = "epsilon", **options: Any) -> Model:
    """Stable Diffusion 1 and 2. ``options`` are the UNet's."""
    tokenizer = networks.clip_tokenizer(folder / "words", TOKENS)
    pipeline = StableDiffusionPipeline(
        vae=made(lambda: networks.vae(scaling_factor=0.5)),
        text_encoder=made(lambda: networks.clip(tokenizer, TEXT, act="quick_gelu")),
        tokenizer=tokenizer,
        unet=made(lambda: networks.unet(TEXT, **options)),
        scheduler=PNDMScheduler.from_config({**SCHEDULER_CONFIG, "prediction_type": prediction_type}),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return Model(pipeline)


def sd_v(folder: Path) -> Model:
    """Stable Diffusion 2.1, which predicts v."""
    return sd(folder, "v_prediction")


def lcm(folder: Path) -> Model:
    """A latent consistency model, which is told the guidance scale."""
    return sd(folder, time_cond_proj_dim=32)


def sd_inpainting(folder: Path) -> Model:
    """Stable Diffusion's inpainting model, whose UNet is shown the mask and the picture too."""
    return sd(folder, channels=9)


def sd_controlled(folder: Path) -> Model:
    """Stable Diffusion with two ControlNets."""
    return replace(sd(folder), controlnets=_controlnets(lambda: networks.controlnet(TEXT)))


def sdxl(folder: Path, channels: int = 4) -> Model:
    """The base model of SDXL."""
    tokenizers = [
        networks.clip_tokenizer(folder / name, TOKENS, pad)
        for name, pad in (("words", "<|endoftext|>"), ("words_2", "!"))
    ]
    pipeline = StableDiffusionXLPipeline(
        vae=made(lambda: networks.vae(scaling_factor=0.5)),
        text_encoder=made(lambda: networks.clip(tokenizers[0], TEXT, act="quick_gelu")),
        text_encoder_2=made(lambda: networks.clip(tokenizers[1], TEXT_2, projection=True)),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=made(lambda: networks.xl_unet(TEXT + TEXT_2, TEXT_2, 6, channels)),
        scheduler=EulerDiscreteScheduler.from_config(XL_CONFIG),
        add_watermarker=False,
    )
    return Model(pipeline)


def sdxl_inpainting(folder: Path) -> Model:
    """SDXL's inpainting model."""
    return sdxl(folder, 9)


def sdxl_controlled(folder: Path) -> Model:
    """SDXL with two ControlNets."""
    made_for = partial(networks.xl_controlnet, TEXT + TEXT_2, TEXT_2)
    return replace(sdxl(folder), controlnets=_controlnets(made_for))


def _controlnets(make: Callable[[], ControlNetModel]) -> Mapping[str, ControlNetModel]:
    return {name: made(make, seed) for seed, name in enumerate(CONTROLNETS, start=1)}


def sdxl_refined(folder: Path) -> Model:
    """SDXL with its refiner."""
    base = sdxl(folder)
    refiner = StableDiffusionXLImg2ImgPipeline(
        vae=base.pipeline.vae,
        text_encoder=None,
        text_encoder_2=base.pipeline.text_encoder_2,
        tokenizer=None,
        tokenizer_2=base.pipeline.tokenizer_2,
        unet=made(lambda: networks.xl_unet(TEXT_2, TEXT_2, 5), seed=1),
        scheduler=EulerDiscreteScheduler.from_config(XL_CONFIG),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    return Model(base.pipeline, refiner)


def sd3(folder: Path, *, t5: bool = False) -> Model:
    """Stable Diffusion 3 without T5, or with it."""
    tokenizers = [
        networks.clip_tokenizer(folder / name, CLIP_TOKENS, pad)
        for name, pad in (("words", "<|endoftext|>"), ("words_2", "!"))
    ]
    words = networks.t5_tokenizer() if t5 else None
    pipeline = StableDiffusion3Pipeline(
        transformer=made(lambda: networks.mmdit(2 * TEXT_2, TEXT + TEXT_2, 16)),
        scheduler=FlowMatchEulerDiscreteScheduler.from_config(FLOW_CONFIG),
        vae=made(
            lambda: networks.vae(
                16, scaling_factor=0.5, shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False
            )
        ),
        text_encoder=made(lambda: networks.clip(tokenizers[0], TEXT, projection=True, act="quick_gelu")),
        tokenizer=tokenizers[0],
        text_encoder_2=made(lambda: networks.clip(tokenizers[1], TEXT_2, projection=True)),
        tokenizer_2=tokenizers[1],
        text_encoder_3=made(lambda: networks.t5(words, 2 * TEXT_2)) if words else None,
        tokenizer_3=words,
    )
    parts = ("text-encoder-t5", *_USUAL) if t5 else None
    return Model(pipeline, call={"max_sequence_length": CLIP_TOKENS}, parts=parts)


def sd3_t5(folder: Path) -> Model:
    """Stable Diffusion 3 with all three text encoders."""
    return sd3(folder, t5=True)


FAMILIES: Mapping[str, Callable[[Path], Model]] = {
    "sd": sd,
    "sd-v": sd_v,
    "sd-inpainting": sd_inpainting,
    "sd+controlnets": sd_controlled,
    "lcm": lcm,
    "sdxl": sdxl,
    "sdxl-inpainting": sdxl_inpainting,
    "sdxl+controlnets": sdxl_controlled,
    "sdxl+refiner": sdxl_refined,
    "sd3": sd3,
    "sd3+t5": sd3_t5,
}


def bundle(model: Model, folder: Path, precision: ComputePrecision, **wanted: Any) -> Path:
    """``model`` saved as diffusers saves it and converted; ``wanted`` as a ConversionRequest has it."""
    if model.refiner is not None:
        wanted["refiner"] = str(_saved(model.refiner, folder / "refiner"))
    if model.parts is not None:
        wanted["networks"] = model.parts
    if model.controlnets:
        wanted["unet_support_controlnet"] = True
        wanted["controlnets"] = tuple(
            str(_saved(network, folder / name)) for name, network in model.controlnets.items()
        )
    output = folder / f"bundle-{precision}"
    request = ConversionRequest(
        source=str(_saved(model.pipeline, folder / "base")),
        output=str(output),
        precision=precision,
        **{"sizes": ((PIXELS, PIXELS),)} | wanted,
    )
    convert(request, lambda _: None, run=run_here)
    return output


def _saved(pipeline: Any, folder: Path) -> Path:
    if not folder.exists():
        pipeline.save_pretrained(folder)
    return folder
