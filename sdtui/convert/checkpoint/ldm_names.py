"""What diffusers' UNet modules are called in the original Stable Diffusion code, and in LoRAs for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

_RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TRANSFORMER = ("norm", "proj_in", "proj_out")
_BLOCK = (
    *(
        f"{attention}.{part}"
        for attention in ("attn1", "attn2")
        for part in ("to_q", "to_k", "to_v", "to_out.0")
    ),
    *("ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"),
)
_AROUND = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def unet_modules(config: Any) -> dict[str, str]:
    """The original name of every module with weights, by its diffusers name.

    ``config`` is that of a UNet2DConditionModel or ControlNetModel, with attributes or keys.
    """
    get = config.get if hasattr(config, "get") else lambda name, default=None: getattr(config, name, default)
    layers = get("layers_per_block", 2)
    down = get("down_block_types", ())
    depths = get("transformer_layers_per_block") or 1
    depths = [depths] * len(down) if isinstance(depths, int) else list(depths)
    names = dict(_AROUND)
    index = 1
    for level, (kind, depth) in enumerate(zip(down, depths, strict=True)):
        for layer in range(layers):
            theirs = f"down_blocks.{level}"
            names |= _residual(f"{theirs}.resnets.{layer}", f"input_blocks.{index}.0")
            if "Attn" in kind:
                names |= _transformer(f"{theirs}.attentions.{layer}", f"input_blocks.{index}.1", depth)
            index += 1
        if level < len(down) - 1:
            names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{index}.0.op"
            index += 1
    names |= _residual("mid_block.resnets.0", "middle_block.0")
    names |= _transformer("mid_block.attentions.0", "middle_block.1", depths[-1])
    names |= _residual("mid_block.resnets.1", "middle_block.2")
    numbers = itertools.count()
    up = get("up_block_types", ())
    for level, (kind, depth) in enumerate(zip(up, reversed(depths), strict=False)):
        for layer in range(layers + 1):
            theirs, ours = f"up_blocks.{level}", f"output_blocks.{next(numbers)}"
            names |= _residual(f"{theirs}.resnets.{layer}", f"{ours}.0")
            if "Attn" in kind:
                names |= _transformer(f"{theirs}.attentions.{layer}", f"{ours}.1", depth)
            if layer == layers and level < len(up) - 1:
                names[f"{theirs}.upsamplers.0.conv"] = f"{ours}.{2 if 'Attn' in kind else 1}.conv"
    return names


def _residual(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{new}": f"{ours}.{old}" for new, old in _RESIDUAL.items()}


def _transformer(theirs: str, ours: str, depth: int) -> dict[str, str]:
    return {f"{theirs}.{part}": f"{ours}.{part}" for part in _parts(depth)}


def _parts(depth: int) -> Iterator[str]:
    yield from _TRANSFORMER
    for block in range(depth):
        yield from (f"transformer_blocks.{block}.{part}" for part in _BLOCK)
