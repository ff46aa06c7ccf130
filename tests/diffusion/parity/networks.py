"""Networks of every family with a few thousand random weights, whose pictures show what they are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, ControlNetModel, SD3Transformer2DModel, UNet2DConditionModel
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import Unigram
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from tests.tiny import LATENT, WORDS, write_tokenizer

TEXT, TEXT_2 = 16, 24
"""The widths of both CLIPs in SDXL."""
Module = TypeVar("Module", bound=nn.Module)
SIZE_NUMBERS = 8
"""What each number about the picture's size becomes in SDXL's UNets."""


def clip_tokenizer(folder: Path, length: int, pad: str = "<|endoftext|>") -> CLIPTokenizer:
    """The tests' vocabulary, as a model with ``length`` positions uses it."""
    write_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=length, pad_token=pad)


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """The tests' words and every letter, in T5's form."""
    pieces = [*(f"▁{word}" for word in WORDS), "▁", *map(chr, range(ord("a"), ord("z") + 1))]
    special = ["<pad>", "</s>", "<unk>"]
    backend = Tokenizer(
        Unigram([(piece, 0.0) for piece in special] + [(piece, -float(len(pieces))) for piece in pieces], 2)
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def clip(tokenizer: CLIPTokenizer, width: int, *, projection: bool = False, act: str = "gelu") -> Any:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=width,
        hidden_act=act,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def t5(tokenizer: PreTrainedTokenizerFast, width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    )


def unet(text: int, channels: int = 4, **options: Any) -> UNet2DConditionModel:
    """A UNet that reads words of ``text`` numbers; ``options`` are those of diffusers'."""
    config: dict[str, Any] = {
        "sample_size": LATENT,
        "in_channels": channels,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "mid_block_type": None,
        "cross_attention_dim": text,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**config | options)


def xl_unet(text: int, pooled: int, numbers: int, channels: int = 4) -> UNet2DConditionModel:
    """SDXL's, which is told a pooled text and ``numbers`` (6, its refiner 5) about the picture's size."""
    return unet(text, channels, **_xl(pooled, numbers))


def controlnet(text: int, **options: Any) -> ControlNetModel:
    """A ControlNet of :func:`unet`."""
    return ControlNetModel(
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2D",
        cross_attention_dim=text,
        attention_head_dim=2,
        norm_num_groups=8,
        conditioning_embedding_out_channels=(4, 4, 8, 8),
        **options,
    )


def xl_controlnet(text: int, pooled: int) -> ControlNetModel:
    """A ControlNet of SDXL's base model."""
    return controlnet(text, **_xl(pooled, 6))


def _xl(pooled: int, numbers: int) -> dict[str, Any]:
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZE_NUMBERS,
        "projection_class_embeddings_input_dim": numbers * SIZE_NUMBERS + pooled,
        "use_linear_projection": True,
    }


def mmdit(text: int, pooled: int, channels: int) -> SD3Transformer2DModel:
    return SD3Transformer2DModel(
        sample_size=LATENT,
        in_channels=channels,
        out_channels=channels,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=text,
        caption_projection_dim=16,
        pooled_projection_dim=pooled,
        pos_embed_max_size=12,
    )


def vae(channels: int = 4, **options: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        layers_per_block=1,
        **options,
    )


def made(make: Callable[[], Module], seed: int = 0) -> Module:
    """A module with the random weights of ``seed``, its answers as large as trained networks give them."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        module = make().eval()
        for name, parameter in module.named_parameters():
            if "attn2.to_out" in name or "add_q_proj" in name:
                parameter.mul_(4)  # words count
        if isinstance(module, AutoencoderKL):
            latents = torch.randn(2, module.config["latent_channels"], LATENT, LATENT)
            _normalise(module.decoder.conv_out, module.decode(2 * latents).sample, 0.5)
            pixels = torch.rand(2, 3, 8 * LATENT, 8 * LATENT) * 2 - 1
            moments = module.encode(pixels).latent_dist.parameters
            module.encoder.conv_out.weight.div_(moments.std())
        elif isinstance(module, UNet2DConditionModel):
            _normalise(module.conv_out, module(*_given(module), **_more(module)).sample, 1.0)
        elif isinstance(module, ControlNetModel):
            for parameter in module.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.4)  # what it adds begins as nothing
        return module


def _given(unet: UNet2DConditionModel) -> tuple[Any, ...]:
    config: Any = unet.config
    sample = torch.randn(2, config.in_channels, LATENT, LATENT)
    return sample, 500, torch.randn(2, 16, config.cross_attention_dim)


def _more(unet: UNet2DConditionModel) -> dict[str, Any]:
    config: Any = unet.config
    more: dict[str, Any] = {}
    if config.addition_embed_type is not None:
        width = config.projection_class_embeddings_input_dim
        numbers = 5 if (width - TEXT_2) // SIZE_NUMBERS == 5 else 6
        ids = torch.full((2, numbers), 64.0)
        more["added_cond_kwargs"] = {"text_embeds": torch.randn(2, TEXT_2), "time_ids": ids}
    if config.time_cond_proj_dim is not None:
        more["timestep_cond"] = torch.randn(2, config.time_cond_proj_dim)
    return more


def _normalise(layer: nn.Conv2d, output: torch.Tensor, deviation: float) -> None:
    """Scale the last layer of a network so that ``output`` would have had this deviation and no mean."""
    assert layer.bias is not None
    factor = deviation / output.std()
    layer.bias.copy_((layer.bias - output.mean((0, 2, 3))) * factor)
    layer.weight.mul_(factor)
