"""Networks of diffusers under the names of the original Stable Diffusion files, as those files have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sdtui.convert.checkpoint.ldm_names import unet_modules

Tensors = Mapping[str, Tensor]


def unet(module: nn.Module, prefix: str = "model.diffusion_model.") -> dict[str, Tensor]:
    config: Any = module.config
    names = unet_modules(config)
    renamed = {}
    for name, tensor in module.state_dict().items():
        owner, leaf = name.rsplit(".", 1)
        renamed[f"{prefix}{names.get(owner, owner)}.{leaf}"] = tensor
    return renamed


def vae(module: nn.Module, prefix: str = "first_stage_model.") -> dict[str, Tensor]:
    config: Any = module.config
    levels = len(config.block_out_channels)
    renamed = {}
    for name, tensor in module.state_dict().items():
        for level in range(levels):
            name = name.replace(f"encoder.down_blocks.{level}.resnets", f"encoder.down.{level}.block")
            name = name.replace(f"down_blocks.{level}.downsamplers.0", f"down.{level}.downsample")
            other = levels - 1 - level
            name = name.replace(f"decoder.up_blocks.{level}.resnets", f"decoder.up.{other}.block")
            name = name.replace(f"up_blocks.{level}.upsamplers.0", f"up.{other}.upsample")
        for new, old in (
            ("conv_shortcut", "nin_shortcut"),
            ("mid_block.resnets.0", "mid.block_1"),
            ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0", "mid.attn_1"),
            ("group_norm", "norm"),
            ("to_out.0", "proj_out"),
            ("conv_norm_out", "norm_out"),
            ("to_q", "q"),
            ("to_k", "k"),
            ("to_v", "v"),
        ):
            name = name.replace(f".{new}.", f".{old}.")
        if ".attn_1." in name and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        renamed[prefix + name] = tensor
    return renamed


def clip(module: nn.Module, prefix: str, wrapped: bool = True) -> dict[str, Tensor]:
    """As transformers names them; ``wrapped`` as version 4 does."""
    return {
        prefix
        + ("" if name.startswith("text_projection") else "text_model." * wrapped)
        + name.removeprefix("text_model."): tensor
        for name, tensor in module.state_dict().items()
    }


def open_clip(module: nn.Module, prefix: str, *, extra_layer: bool) -> dict[str, Tensor]:
    """``extra_layer`` adds the last one, which Stable Diffusion 2 does not use."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in module.state_dict().items()}
    config: Any = module.config
    renamed = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.ones(()),
        "text_projection": (
            state["text_projection.weight"].T.contiguous()
            if "text_projection.weight" in state
            else torch.zeros(config.hidden_size, config.hidden_size)
        ),
    }
    layers = config.num_hidden_layers
    for layer in range(layers + extra_layer):
        theirs = f"encoder.layers.{min(layer, layers - 1)}."
        ours = f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            renamed[f"{ours}attn.in_proj_{kind}"] = torch.cat(
                [state[f"{theirs}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            )
            renamed[f"{ours}attn.out_proj.{kind}"] = state[f"{theirs}self_attn.out_proj.{kind}"]
            renamed[f"{ours}ln_1.{kind}"] = state[f"{theirs}layer_norm1.{kind}"]
            renamed[f"{ours}ln_2.{kind}"] = state[f"{theirs}layer_norm2.{kind}"]
            renamed[f"{ours}mlp.c_fc.{kind}"] = state[f"{theirs}mlp.fc1.{kind}"]
            renamed[f"{ours}mlp.c_proj.{kind}"] = state[f"{theirs}mlp.fc2.{kind}"]
    return {prefix + name: tensor for name, tensor in renamed.items()}


def mmdit(module: nn.Module, prefix: str = "model.diffusion_model.") -> dict[str, Tensor]:
    state = module.state_dict()
    config: Any = module.config
    renamed = {
        "pos_embed": state["pos_embed.pos_embed"],
        "x_embedder.proj.weight": state["pos_embed.proj.weight"],
        "x_embedder.proj.bias": state["pos_embed.proj.bias"],
    }
    pairs = {
        "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
        "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
        "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
        "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
        "context_embedder": "context_embedder",
        "final_layer.linear": "proj_out",
    }
    swapped = {"final_layer.adaLN_modulation.1": "norm_out.linear"}
    for layer in range(config.num_layers):
        last = layer == config.num_layers - 1
        ours, theirs = f"joint_blocks.{layer}", f"transformer_blocks.{layer}"
        pairs |= {
            f"{ours}.x_block.attn.proj": f"{theirs}.attn.to_out.0",
            f"{ours}.x_block.adaLN_modulation.1": f"{theirs}.norm1.linear",
            f"{ours}.x_block.mlp.fc1": f"{theirs}.ff.net.0.proj",
            f"{ours}.x_block.mlp.fc2": f"{theirs}.ff.net.2",
        }
        (swapped if last else pairs)[f"{ours}.context_block.adaLN_modulation.1"] = (
            f"{theirs}.norm1_context.linear"
        )
        if not last:
            pairs |= {
                f"{ours}.context_block.attn.proj": f"{theirs}.attn.to_add_out",
                f"{ours}.context_block.mlp.fc1": f"{theirs}.ff_context.net.0.proj",
                f"{ours}.context_block.mlp.fc2": f"{theirs}.ff_context.net.2",
            }
        if layer in config.dual_attention_layers:
            pairs[f"{ours}.x_block.attn2.proj"] = f"{theirs}.attn2.to_out.0"
        for kind in ("weight", "bias"):
            for block, names in (
                ("x_block.attn", ("attn.to_q", "attn.to_k", "attn.to_v")),
                ("context_block.attn", ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
                ("x_block.attn2", ("attn2.to_q", "attn2.to_k", "attn2.to_v")),
            ):
                if f"{theirs}.{names[0]}.{kind}" in state:
                    renamed[f"{ours}.{block}.qkv.{kind}"] = torch.cat(
                        [state[f"{theirs}.{name}.{kind}"] for name in names]
                    )
        for name, theirs_name in (
            ("x_block.attn.ln_q", "attn.norm_q"),
            ("x_block.attn.ln_k", "attn.norm_k"),
            ("context_block.attn.ln_q", "attn.norm_added_q"),
            ("context_block.attn.ln_k", "attn.norm_added_k"),
            ("x_block.attn2.ln_q", "attn2.norm_q"),
            ("x_block.attn2.ln_k", "attn2.norm_k"),
        ):
            if f"{theirs}.{theirs_name}.weight" in state:
                renamed[f"{ours}.{name}.weight"] = state[f"{theirs}.{theirs_name}.weight"]
    for kind in ("weight", "bias"):
        renamed |= {f"{ours}.{kind}": state[f"{theirs}.{kind}"] for ours, theirs in pairs.items()}
        for ours, theirs in swapped.items():
            scale, shift = state[f"{theirs}.{kind}"].chunk(2)
            renamed[f"{ours}.{kind}"] = torch.cat([shift, scale])
    return {prefix + name: tensor for name, tensor in renamed.items()}


def controlnet(module: nn.Module, prefix: str = "control_model.") -> dict[str, Tensor]:
    config: Any = module.config
    names = unet_modules(config)
    hints = len(config.conditioning_embedding_out_channels) * 2 - 2
    names |= {
        "controlnet_cond_embedding.conv_in": "input_hint_block.0",
        "controlnet_cond_embedding.conv_out": f"input_hint_block.{2 * hints + 2}",
        "controlnet_mid_block": "middle_block_out.0",
    }
    names |= {f"controlnet_cond_embedding.blocks.{i}": f"input_hint_block.{2 * i + 2}" for i in range(hints)}
    renamed = {}
    for name, tensor in module.state_dict().items():
        owner, leaf = name.rsplit(".", 1)
        if owner.startswith("controlnet_down_blocks."):
            names[owner] = f"zero_convs.{owner.rsplit('.', 1)[1]}.0"
        renamed[f"{prefix}{names.get(owner, owner)}.{leaf}"] = tensor
    return renamed
