"""Configurations of networks in the original Stable Diffusion layout, told from their tensors' shapes.

What shapes cannot tell follows from the family: Stable Diffusion 1 has 8 heads everywhere, its
successors heads of 64 channels; OpenAI's CLIP uses QuickGELU, OpenCLIP GELU. Every function takes the
tensors of one network without their prefix, and raises KeyError or ValueError for another layout.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

Tensors = Mapping[str, Tensor]

HEAD = 64
"""Channels of an attention head."""


def unet(tensors: Tensors, sample_size: int) -> dict[str, Any]:
    """UNet2DConditionModel; ``sample_size`` is in latents."""
    config = _encoder(tensors)
    down_types = config["down_block_types"]
    config |= {
        "_class_name": "UNet2DConditionModel",
        "sample_size": sample_size,
        "out_channels": tensors["out.2.weight"].shape[0],
        "up_block_types": [name.replace("Down", "Up") for name in reversed(down_types)],
    }
    if "label_emb.0.0.weight" in tensors:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": tensors["label_emb.0.0.weight"].shape[1],
        }
    return config


def controlnet(tensors: Tensors) -> dict[str, Any]:
    """ControlNetModel of Stable Diffusion 1 or 2."""
    hints = [f"input_hint_block.{index}.weight" for index in (0, 4, 8, 12)]
    return _encoder(tensors) | {
        "_class_name": "ControlNetModel",
        "conditioning_channels": tensors[hints[0]].shape[1],
        "conditioning_embedding_out_channels": [tensors[hint].shape[0] for hint in hints],
    }


def _encoder(tensors: Tensors) -> dict[str, Any]:
    """The half that a UNet and its ControlNet have in common: levels of residual blocks, halved between."""
    levels: list[list[tuple[int, int]]] = [[]]  # for each block its channels and its transformer's depth
    for index in range(1, 1 + _count(tensors, "input_blocks.{}.0.", start=1)):
        if f"input_blocks.{index}.0.op.weight" in tensors:
            levels.append([])
        else:
            channels = tensors[f"input_blocks.{index}.0.in_layers.2.weight"].shape[0]
            depth = _count(tensors, f"input_blocks.{index}.1.transformer_blocks.{{}}.")
            levels[-1].append((channels, depth))
    if len({len(level) for level in levels}) != 1:
        raise ValueError("levels differ in depth")
    middle = _count(tensors, "middle_block.1.transformer_blocks.{}.")
    depths = [level[0][1] for level in levels]
    words = _first(tensors, "transformer_blocks.0.attn2.to_k.weight")
    linear = _first(tensors, "proj_in.weight").ndim == 2
    widths = [level[0][0] for level in levels]
    return {
        "in_channels": tensors["input_blocks.0.0.weight"].shape[1],
        "block_out_channels": widths,
        "layers_per_block": len(levels[0]),
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "transformer_layers_per_block": [depth or 1 for depth in depths[:-1]] + [middle],
        "cross_attention_dim": words.shape[1],
        "attention_head_dim": [width // HEAD for width in widths] if linear else 8,
        "use_linear_projection": linear,
    }


def vae(tensors: Tensors, sample_size: int) -> dict[str, Any]:
    """AutoencoderKL; ``sample_size`` is in pixels. The scaling factor is not in the file."""
    levels = _count(tensors, "encoder.down.{}.")
    return {
        "_class_name": "AutoencoderKL",
        "sample_size": sample_size,
        "in_channels": tensors["encoder.conv_in.weight"].shape[1],
        "out_channels": tensors["decoder.conv_out.weight"].shape[0],
        "latent_channels": tensors["decoder.conv_in.weight"].shape[1],
        "block_out_channels": [
            tensors[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] for level in range(levels)
        ],
        "layers_per_block": _count(tensors, "encoder.down.0.block.{}."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "use_quant_conv": "quant_conv.weight" in tensors,
        "use_post_quant_conv": "post_quant_conv.weight" in tensors,
    }


def clip(tensors: Tensors, *, projection: bool) -> dict[str, Any]:
    """CLIPTextModel, or with projection, in the layout of transformers."""
    prefix = "text_model."
    words = tensors[f"{prefix}embeddings.token_embedding.weight"]
    projected = tensors["text_projection.weight"].shape[0] if projection else words.shape[1]
    return _text_encoder(
        words,
        positions=tensors[f"{prefix}embeddings.position_embedding.weight"].shape[0],
        layers=_count(tensors, f"{prefix}encoder.layers.{{}}."),
        inner=tensors[f"{prefix}encoder.layers.0.mlp.fc1.weight"].shape[0],
        act="quick_gelu",
        projected=projected,
        projection=projection,
    )


def open_clip(tensors: Tensors, *, projection: bool) -> dict[str, Any]:
    """OpenCLIP's text encoder, in its own layout."""
    return _text_encoder(
        tensors["token_embedding.weight"],
        positions=tensors["positional_embedding"].shape[0],
        layers=_count(tensors, "transformer.resblocks.{}."),
        inner=tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        act="gelu",
        projected=tensors["text_projection"].shape[1] if projection else 512,
        projection=projection,
    )


def _text_encoder(
    words: Tensor, *, positions: int, layers: int, inner: int, act: str, projected: int, projection: bool
) -> dict[str, Any]:
    vocabulary, width = words.shape
    return {
        "architectures": ["CLIPTextModelWithProjection" if projection else "CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD,
        "max_position_embeddings": positions,
        "projection_dim": projected,
        "hidden_act": act,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }


def mmdit(tensors: Tensors, sample_size: int) -> dict[str, Any]:
    """SD3Transformer2DModel; ``sample_size`` is in latents."""
    width, channels, patch, _ = tensors["x_embedder.proj.weight"].shape
    layers = _count(tensors, "joint_blocks.{}.")
    return {
        "_class_name": "SD3Transformer2DModel",
        "sample_size": sample_size,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": tensors["final_layer.linear.weight"].shape[0] // patch**2,
        "num_layers": layers,
        "attention_head_dim": HEAD,
        "num_attention_heads": width // HEAD,
        "joint_attention_dim": tensors["context_embedder.weight"].shape[1],
        "caption_projection_dim": tensors["context_embedder.weight"].shape[0],
        "pooled_projection_dim": tensors["y_embedder.mlp.0.weight"].shape[1],
        "pos_embed_max_size": math.isqrt(tensors["pos_embed"].shape[1]),
        "dual_attention_layers": [
            layer for layer in range(layers) if f"joint_blocks.{layer}.x_block.attn2.qkv.weight" in tensors
        ],
        "qk_norm": "rms_norm" if "joint_blocks.0.x_block.attn.ln_q.weight" in tensors else None,
    }


def _count(names: Iterable[str], pattern: str, start: int = 0) -> int:
    """How many consecutive numbers from ``start`` on make ``pattern`` the beginning of a name."""
    before, after = pattern.split("{}")
    numbers = {name[len(before) :].partition(after)[0] for name in names if name.startswith(before)}
    return next(count for count in itertools.count() if str(start + count) not in numbers)


def _first(tensors: Tensors, ending: str) -> Tensor:
    for name, tensor in tensors.items():
        if name.endswith(ending):
            return tensor
    raise KeyError(ending)
