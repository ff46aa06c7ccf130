"""The torch networks of the starter, in the classes of Stable Diffusion 1.x."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from sdtui.starter.config import (
    LATENT_CHANNELS,
    LATENT_SIZE,
    PIXELS,
    TOKENS,
    TextConfig,
    UnetConfig,
    VaeConfig,
)


def build_vae(config: VaeConfig) -> AutoencoderKL:
    """128 px RGB in -1..1 <-> 16x16x8 latents."""
    levels = len(config.block_out_channels)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=config.norm_groups,
        sample_size=PIXELS,
        mid_block_add_attention=False,
    )
    # Start with little noise on the latents: drowned in noise of unit spread, the decoder learns to
    # ignore them.
    with torch.no_grad():
        vae.quant_conv.weight[LATENT_CHANNELS:] *= 0.1
        vae.quant_conv.bias[LATENT_CHANNELS:] = -5.0
    return vae


def build_text_encoder(config: TextConfig, bos_token_id: int, eos_token_id: int) -> CLIPTextModel:
    """Token ids (n, 77) -> hidden states (n, 77, width)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.width * 4,
            projection_dim=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            pad_token_id=eos_token_id,
        )
    )


def build_unet(config: UnetConfig, text: TextConfig) -> UNet2DConditionModel:
    """Noisy latents (n, 8, 16, 16), timesteps (n,), text (n, 77, width) -> prediction, same shape."""
    down = {False: "DownBlock2D", True: "CrossAttnDownBlock2D"}
    up = {False: "UpBlock2D", True: "CrossAttnUpBlock2D"}
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=tuple(down[attends] for attends in config.attention),
        up_block_types=tuple(up[attends] for attends in reversed(config.attention)),
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        attention_head_dim=config.heads,
        cross_attention_dim=text.width,
        norm_num_groups=32,
    )
