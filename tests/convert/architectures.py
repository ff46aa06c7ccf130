"""Every kind of network that is converted, real architectures of a few thousand random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
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
    CLIPVisionConfig,
    T5Config,
    T5EncoderModel,
)

from sdtui.convert.networks.conditions import Shape

torch.set_num_threads(1)  # networks this small only lose time to a second thread

LATENT = 8
TOKENS = 12
VOCABULARY = 60
BOS, EOS = 58, 59
SHAPE = Shape(LATENT, LATENT, TOKENS)
POOLED = 12

Module = TypeVar("Module", bound=nn.Module)

_UNET: dict[str, Any] = {
    "sample_size": LATENT,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
SDXL: dict[str, Any] = {
    "use_linear_projection": True,
    "transformer_layers_per_block": (1, 2),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": POOLED + 6 * 4,
}
ONE_LEVEL: dict[str, Any] = {
    "block_out_channels": (8,),
    "down_block_types": ("CrossAttnDownBlock2D",),
    "up_block_types": ("CrossAttnUpBlock2D",),
    "mid_block_type": None,
    "transformer_layers_per_block": 1,
}
"""As few operations as a UNet can have."""
REFINER: dict[str, Any] = {**SDXL, "projection_class_embeddings_input_dim": POOLED + 5 * 4}


def seeded(build: Callable[[], Module]) -> Module:
    """The network with random scales and shifts in its norms, and no layer that gives zero; the same
    each time. Networks fresh from their libraries have norms that hide a wrong affine."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build().eval()
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
            elif not parameter.any():
                parameter.normal_(0, 0.2)
    return network


def unet(**overrides: Any) -> UNet2DConditionModel:
    """Stable Diffusion 1's UNet; ``overrides`` make another of it."""
    return seeded(lambda: UNet2DConditionModel(**{**_UNET, **overrides}))


def controlnet(**overrides: Any) -> ControlNetModel:
    """The ControlNet of such a UNet."""
    ours = {name: value for name, value in _UNET.items() if name not in ("sample_size", "up_block_types")}
    return seeded(
        lambda: ControlNetModel(**{**ours, "conditioning_embedding_out_channels": (4, 4, 8, 8), **overrides})
    )


def vae(**overrides: Any) -> AutoencoderKL:
    """An autoencoder that halves the sides three times, with attention in its middle."""
    config = {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "scaling_factor": 0.18215,
    }
    return seeded(lambda: AutoencoderKL(**{**config, **overrides}))


def tiny_autoencoder(levels: int = 4, **overrides: Any) -> AutoencoderTiny:
    """TAESD's architecture, as narrow as it goes; it halves the sides ``levels`` - 1 times."""
    config = {
        "encoder_block_out_channels": (8,) * levels,
        "decoder_block_out_channels": (8,) * levels,
        "num_encoder_blocks": (1,) * levels,
        "num_decoder_blocks": (1,) * levels,
    }
    return seeded(lambda: AutoencoderTiny(**{**config, **overrides}))


def _clip_config(**overrides: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": TOKENS,
            "projection_dim": POOLED,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            **overrides,
        }
    )


def clip(**overrides: Any) -> CLIPTextModel:
    """A CLIP text encoder, as in Stable Diffusion 1."""
    return seeded(lambda: CLIPTextModel(_clip_config(**overrides)))


def clip_with_projection(**overrides: Any) -> CLIPTextModelWithProjection:
    """A CLIP text encoder with a projection of the whole prompt, as SDXL's second."""
    return seeded(lambda: CLIPTextModelWithProjection(_clip_config(hidden_act="gelu", **overrides)))


def t5(**overrides: Any) -> T5EncoderModel:
    """A T5 v1.1 encoder, as in Stable Diffusion 3."""
    config = T5Config(
        **{
            "vocab_size": VOCABULARY,
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 2,
            "num_heads": 2,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            **overrides,
        }
    )
    return seeded(lambda: T5EncoderModel(config))


def mmdit(**overrides: Any) -> SD3Transformer2DModel:
    """The transformer of Stable Diffusion 3."""
    config = {
        "sample_size": LATENT,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": 24,
        "caption_projection_dim": 16,
        "pooled_projection_dim": POOLED,
        "pos_embed_max_size": 6,
    }
    return seeded(lambda: SD3Transformer2DModel(**{**config, **overrides}))


def safety_checker() -> StableDiffusionSafetyChecker:
    """The safety checker, with concepts that differ, and that nothing shows."""
    config = CLIPConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        ).to_dict(),
        projection_dim=POOLED,
    )
    checker = seeded(lambda: StableDiffusionSafetyChecker(config))
    generator = torch.Generator().manual_seed(0)
    for embeddings in (checker.concept_embeds, checker.special_care_embeds):
        embeddings.normal_(generator=generator)
    checker.concept_embeds_weights.fill_(1.1)
    checker.special_care_embeds_weights.fill_(1.1)
    return checker
