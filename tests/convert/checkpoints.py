"""Checkpoints on disk that fit in a test: every family, a few thousand random weights, real layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from tests.tiny import write_tokenizer

WORDS = 64
"""The width of text encoders: one head, as both CLIPs count them."""

Networks = Mapping[str, nn.Module]


def clip(
    vocabulary: int, *, layers: int = 2, act: str = "quick_gelu", projection: bool = False, width: int = WORDS
) -> Any:
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=16,
        projection_dim=width,
        hidden_act=act,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def unet(**changes: Any) -> Any:
    config: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": WORDS,
        "attention_head_dim": 8,
    }
    return UNet2DConditionModel(**config | changes)


def xl_unet(text: int, pooled: int, ids: int = 6, depths: Any = (1, 2)) -> Any:
    """SDXL's: heads of 64 channels, linear projections, size and pooled text added to the timestep."""
    return unet(
        block_out_channels=(64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text,
        attention_head_dim=(1, 2),
        transformer_layers_per_block=depths,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=ids * 256 + pooled,
    )


def vae(channels: int = 4, **changes: Any) -> Any:
    config: dict[str, Any] = {
        "block_out_channels": (32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": channels,
        "layers_per_block": 1,
        "sample_size": 16,
    }
    return AutoencoderKL(**config | changes)


def mmdit(**changes: Any) -> Any:
    config: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 16,
        "out_channels": 16,
        "num_layers": 2,
        "attention_head_dim": 64,
        "num_attention_heads": 2,
        "joint_attention_dim": 4 * WORDS,
        "caption_projection_dim": 128,
        "pooled_projection_dim": 2 * WORDS,
        "pos_embed_max_size": 12,
    }
    return SD3Transformer2DModel(**config | changes)


def t5(vocabulary: int = 40) -> Any:
    return T5EncoderModel(
        T5Config(vocab_size=vocabulary, d_model=4 * WORDS, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    )


def safety_checker() -> Any:
    return StableDiffusionSafetyChecker(
        CLIPConfig(
            vision_config={
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 28,
                "patch_size": 14,
            },
            text_config={
                "hidden_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "vocab_size": 9,
            },
            projection_dim=16,
        )
    )


def controlnet(**changes: Any) -> Any:
    config: dict[str, Any] = {
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "cross_attention_dim": WORDS,
        "attention_head_dim": 8,
        "conditioning_embedding_out_channels": (16, 32, 96, 256),
    }
    return ControlNetModel(**config | changes)


def networks(family: str, vocabulary: int) -> dict[str, nn.Module]:
    """Random networks of a family, always the same ones, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        match family:
            case "sd":
                made = {"text_encoder": clip(vocabulary), "unet": unet(), "vae": vae()}
            case "sd2":
                made = {
                    "text_encoder": clip(vocabulary, act="gelu", layers=23),
                    "unet": unet(
                        block_out_channels=(64, 128), use_linear_projection=True, attention_head_dim=(1, 2)
                    ),
                    "vae": vae(),
                }
            case "sdxl":
                made = {
                    "text_encoder": clip(vocabulary),
                    "text_encoder_2": clip(vocabulary, act="gelu", projection=True, width=128),
                    "unet": xl_unet(WORDS + 128, 128),
                    "vae": vae(scaling_factor=0.13025),
                }
            case "sdxl-refiner":
                made = {
                    "text_encoder_2": clip(vocabulary, act="gelu", projection=True, width=128),
                    "unet": xl_unet(128, 128, ids=5, depths=2),
                    "vae": vae(scaling_factor=0.13025),
                }
            case "sd3":
                made = {
                    "text_encoder": clip(vocabulary, projection=True),
                    "text_encoder_2": clip(vocabulary, act="gelu", projection=True),
                    "text_encoder_3": t5(),
                    "transformer": mmdit(),
                    "vae": vae(
                        16,
                        scaling_factor=1.5305,
                        shift_factor=0.0609,
                        use_quant_conv=False,
                        use_post_quant_conv=False,
                    ),
                }
            case other:
                raise AssertionError(other)
        return {name: module.eval() for name, module in made.items()}


SCHEDULERS = {"sd3": FlowMatchEulerDiscreteScheduler(shift=3.0)}


def scheduler(family: str) -> Any:
    if family.startswith("sdxl"):
        return EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        )
    return SCHEDULERS.get(
        family,
        PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
        ),
    )


def save_folder(folder: Path, family: str, made: Networks, dtype: torch.dtype = torch.float32) -> Path:
    """Write ``made`` as diffusers lays a pipeline out."""
    index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline"}
    for name, module in made.items():
        library = "diffusers" if name in ("unet", "vae", "transformer", "controlnet") else "transformers"
        index[name] = [library, type(module).__name__]
        module.to(dtype).save_pretrained(folder / name)  # type: ignore[operator]
        module.float()
    for name in {name.replace("text_encoder", "tokenizer") for name in made if name.startswith("text_")}:
        index[name] = ["transformers", "CLIPTokenizer"]
        write_tokenizer(folder / name)
    scheduler(family).save_pretrained(folder / "scheduler")
    index["scheduler"] = ["diffusers", type(scheduler(family)).__name__]
    if family == "sdxl-refiner":
        index["text_encoder"] = [None, None]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
