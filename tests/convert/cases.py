"""Every kind of network that is converted: how to build it in torch, and what it is converted as."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from torch import nn

from sdtui.conversion import Attention, Target
from sdtui.convert import attention, program
from sdtui.convert.attention import rearrange
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.controlnet import controlnet
from sdtui.convert.networks.mmdit import mmdit
from sdtui.convert.networks.preview import preview_decoder
from sdtui.convert.networks.projection import text_projection
from sdtui.convert.networks.safety import safety_checker
from sdtui.convert.networks.t5 import t5_text_encoder
from sdtui.convert.networks.text import clip_text_encoder, clip_text_encoder_xl
from sdtui.convert.networks.unet import control_unet, unet
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.source import Source
from tests.convert import architectures
from tests.convert.architectures import BOS, EOS, ONE_LEVEL, POOLED, REFINER, SDXL, SHAPE, TOKENS

TARGETS: tuple[Target, ...] = get_args(Target)
ATTENTION: tuple[Attention, ...] = get_args(Attention)

Wrap = Callable[[nn.Module], Source]

DENOISERS: Mapping[str, tuple[Callable[[], nn.Module], Wrap]] = {
    "unet": (lambda: architectures.unet(mid_block_type=None), lambda net: unet(net, SHAPE)),
    "unet of sdxl": (
        lambda: architectures.unet(**{**SDXL, **ONE_LEVEL}),
        lambda net: unet(net, SHAPE, pooled_size=POOLED),
    ),
    "refiner": (
        lambda: architectures.unet(**{**REFINER, **ONE_LEVEL}),
        lambda net: unet(net, Shape(8, 8, TOKENS, 1), pooled_size=POOLED),
    ),
    "control_unet": (lambda: architectures.unet(**ONE_LEVEL), lambda net: control_unet(net, SHAPE)),
    "controlnet": (
        lambda: architectures.controlnet(block_out_channels=(8,), down_block_types=("CrossAttnDownBlock2D",)),
        lambda net: controlnet(net, SHAPE),
    ),
}

VARIANTS: Mapping[str, Callable[[], Source]] = {
    "inpainting": lambda: unet(architectures.unet(**ONE_LEVEL, in_channels=9), SHAPE),
    "lcm": lambda: unet(architectures.unet(**ONE_LEVEL, time_cond_proj_dim=6), SHAPE),
    "projected text": lambda: unet(
        architectures.unet(**ONE_LEVEL, encoder_hid_dim=10, encoder_hid_dim_type="text_proj"), SHAPE
    ),
    "more queries than a block": lambda: unet(
        rearrange(architectures.unet(**ONE_LEVEL), "SPLIT_EINSUM_V2"), Shape(24, 24, TOKENS, 1)
    ),
    "odd sizes": lambda: unet(architectures.unet(mid_block_type=None), Shape(7, 9, 5, 1)),
}


def projection(folder: Path) -> Source:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(24, 16, generator=generator), torch.randn(24, generator=generator)
    save_file({"layer.weight": weight.half(), "layer.bias": bias}, folder / "projection.safetensors")
    return text_projection(folder / "projection.safetensors")


SMALL_VAE = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
}

OTHERS: Mapping[str, Callable[[Path], Source]] = {
    "text_encoder": lambda _: clip_text_encoder(architectures.clip(), BOS, EOS, TOKENS),
    "text_encoder of sdxl": lambda _: clip_text_encoder_xl(architectures.clip(), BOS, EOS, EOS, TOKENS),
    "text_encoder_2": lambda _: clip_text_encoder_xl(
        architectures.clip_with_projection(), BOS, EOS, 0, TOKENS, "text_encoder_2"
    ),
    "text_encoder_3": lambda _: t5_text_encoder(architectures.t5(), TOKENS),
    "mmdit": lambda _: mmdit(architectures.mmdit(), SHAPE),
    "mmdit of sd3.5": lambda _: mmdit(
        architectures.mmdit(qk_norm="rms_norm", dual_attention_layers=(0,)), SHAPE
    ),
    "vae_decoder": lambda _: vae_decoder(architectures.vae(**SMALL_VAE), 6, 4),
    "vae_encoder": lambda _: vae_encoder(architectures.vae(**SMALL_VAE), 16, 12),
    "vae_decoder of sd3": lambda _: vae_decoder(
        architectures.vae(**SMALL_VAE, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False),
        6,
        4,
    ),
    "preview_decoder": lambda _: preview_decoder(architectures.tiny_autoencoder(2), 6, 4),
    "safety_checker": lambda _: safety_checker(architectures.safety_checker(), 6, 4),
    "text_projection": projection,
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Networks this small have their weights stood in for while they are traced, as real ones have."""
    with patch.object(program, "STAND_IN_ABOVE", 40):
        yield


@contextmanager
def small_blocks() -> Iterator[None]:
    """64 queries are more than a block, and no multiple of it."""
    with patch.object(attention, "QUERY_BLOCK", 48):
        yield
