"""A Stable Diffusion pipeline that fits in a test: real architectures, a few thousand random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from sdtui.bundle.manifest import Manifest, Preview
from sdtui.convert.pipeline import convert_pipeline

PIXELS = 64
LATENT = 8
CHANNELS = 4
TOKENS = 16
WORDS = ("a", "red", "green", "apple", "pear", "on", "blue", "background", "photo", "of", "the", "lighthouse")
SCHEDULER_CONFIG: Mapping[str, Any] = {
    "_class_name": "PNDMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "trained_betas": None,
}


@dataclass(frozen=True)
class TinyTorch:
    """The torch side of the tiny bundle. ``tokenizer`` is a folder with vocab.json and merges.txt."""

    text_encoder: CLIPTextModel
    tokenizer: Path
    unet: UNet2DConditionModel
    vae: AutoencoderKL


def make_tiny_torch(folder: Path) -> TinyTorch:
    """Random networks, always the same ones, whose pictures show the prompt, and a real vocabulary."""
    vocabulary = write_tokenizer(folder)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=TOKENS,
                bos_token_id=vocabulary["<|startoftext|>"],
                eos_token_id=vocabulary["<|endoftext|>"],
            )
        ).eval()
        unet = UNet2DConditionModel(
            sample_size=LATENT,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            mid_block_type=None,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=8,
        ).eval()
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=CHANNELS,
            norm_num_groups=4,
            layers_per_block=1,
            scaling_factor=0.5,
        ).eval()
        for name, parameter in unet.named_parameters():
            if "attn2.to_out" in name:
                parameter.mul_(4)
        latents = torch.randn(2, CHANNELS, LATENT, LATENT)
        words = torch.randn(2, TOKENS, 16)
        _normalise(unet.conv_out, unet(latents, 500, words).sample, 1.0)
        _normalise(vae.decoder.conv_out, vae.decode(2 * latents).sample, 0.5)
    return TinyTorch(text_encoder, folder, unet, vae)


def write_tokenizer(folder: Path) -> dict[str, int]:
    """A CLIP vocabulary in ``folder``: every byte, the prefixes of WORDS, and the two special tokens."""
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    merges = []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        for end in range(1, len(pieces)):
            pair = ("".join(pieces[:end]), pieces[end])
            if pair not in merges:
                merges.append(pair)
                tokens.append("".join(pair))
    vocabulary = {token: index for index, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return vocabulary


def convert_tiny(tiny: TinyTorch, output: Path, *, pixels: int = PIXELS, **options: Any) -> Manifest:
    """Convert ``tiny`` to the bundle ``output``; ``options`` are those of our converter."""
    random = np.random.default_rng(0)
    return convert_pipeline(
        tiny.text_encoder,
        tiny.tokenizer,
        tiny.unet,
        tiny.vae,
        SCHEDULER_CONFIG,
        output,
        name=output.name,
        title="Tiny",
        width=pixels,
        height=pixels,
        token_length=TOKENS,
        preview=Preview(matrix=random.normal(size=(3, CHANNELS)).tolist(), bias=[0.0, 0.1, -0.1]),
        **options,
    )


def _normalise(layer: nn.Conv2d, output: torch.Tensor, deviation: float) -> None:
    """Scale the last layer of a network so that ``output`` would have had this deviation and no mean."""
    assert layer.bias is not None
    factor = deviation / output.std()
    layer.bias.copy_((layer.bias - output.mean((0, 2, 3))) * factor)
    layer.weight.mul_(factor)
