"""What a UNet and a ControlNet both take: latents, timestep, text, and what some families add.

Both are diffusers modules with the same configuration names, so their inputs are worked out here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sdtui.convert.source import PROBED_TIMESTEPS, ConversionError
from sdtui.runtime import Array

TIME_IDS_OF_SDXL, TIME_IDS_OF_REFINER = 6, 5
_UNKNOWN = ("class_embed_type", "num_class_embeds", "time_embedding_act_fn")


@dataclass(frozen=True)
class Shape:
    """What a denoiser is made for: ``height`` and ``width`` of the latents, tokens, prompts at once."""

    height: int
    width: int
    token_length: int = 77
    batch: int = 2


def probes(
    name: str, config: Any, shape: Shape, text_hidden_size: int | None, pooled_size: int
) -> list[dict[str, Array]]:
    """Inputs at each probed timestep, in Apple's order and under Apple's names.

    ``sample`` (B, C, h, w), ``timestep`` (B,), ``encoder_hidden_states`` (B, D, 1, T); SDXL adds
    ``time_ids`` (B, 6), its refiner (B, 5), and ``text_embeds`` (B, ``pooled_size``); a distilled LCM
    adds ``timestep_cond`` (B, its own width), the embedded guidance scale. Raises
    :class:`ConversionError` for conditions that no Core ML pipeline gives.
    """
    _refuse_unknown(name, config)
    random = np.random.default_rng(0)

    def normal(*sizes: int) -> Array:
        return random.standard_normal((shape.batch, *sizes), np.float32)

    hidden = _text_hidden_size(name, config, text_hidden_size)
    given = {
        "sample": normal(config.in_channels, shape.height, shape.width),
        "timestep": np.zeros(shape.batch, np.float32),
        "encoder_hidden_states": normal(hidden, 1, shape.token_length),
    }
    if config.addition_embed_type == "text_time":
        count = time_id_count(name, config, pooled_size)
        ids = (1024.0, 1024.0, 0.0, 0.0, *((1024.0, 1024.0) if count == TIME_IDS_OF_SDXL else (6.0,)))
        given["time_ids"] = np.tile(np.array(ids, np.float32), (shape.batch, 1))
        given["text_embeds"] = normal(pooled_size)
    if getattr(config, "time_cond_proj_dim", None):
        given["timestep_cond"] = normal(config.time_cond_proj_dim)
    return [
        {**given, "timestep": np.full(shape.batch, timestep, np.float32)} for timestep in PROBED_TIMESTEPS
    ]


def keywords(given: Mapping[str, Tensor]) -> dict[str, Any]:
    """The same inputs as diffusers takes them: text as (B, T, D), SDXL's conditions in a mapping."""
    return {
        "sample": given["sample"],
        "timestep": given["timestep"],
        "encoder_hidden_states": given["encoder_hidden_states"].squeeze(2).transpose(1, 2),
        "timestep_cond": given.get("timestep_cond"),
        "added_cond_kwargs": {name: given[name] for name in ("text_embeds", "time_ids") if name in given},
    }


def time_id_count(name: str, config: Any, pooled_size: int) -> int:
    """How many numbers of size conditioning SDXL's UNet takes beside a pooled text of this width."""
    count, rest = divmod(
        config.projection_class_embeddings_input_dim - pooled_size, config.addition_time_embed_dim
    )
    if rest or count not in (TIME_IDS_OF_SDXL, TIME_IDS_OF_REFINER):
        raise ConversionError(
            f"the {name} cannot be converted",
            f"it does not take a pooled text of {pooled_size} numbers and 5 or 6 time ids",
            "give the text encoder that belongs to it",
        )
    return int(count)


def _text_hidden_size(name: str, config: Any, wanted: int | None) -> int:
    own = config.encoder_hid_dim if config.encoder_hid_dim_type == "text_proj" else config.cross_attention_dim
    sizes = {own} if isinstance(own, int) else set(own)
    if len(sizes) > 1 or (wanted is not None and wanted not in sizes):
        raise ConversionError(
            f"the {name} cannot be converted",
            f"its text has {' and '.join(map(str, sorted(sizes)))} channels"
            + (f", not {wanted}" if wanted is not None else ""),
            "leave the text encoder's hidden size out" if wanted is not None else "choose another model",
        )
    return int(sizes.pop())


def _refuse_unknown(name: str, config: Any) -> None:
    strange = [field for field in _UNKNOWN if getattr(config, field, None) is not None]
    if config.addition_embed_type not in (None, "text_time"):
        strange.append(f"addition_embed_type {config.addition_embed_type}")
    if config.encoder_hid_dim_type not in (None, "text_proj"):
        strange.append(f"encoder_hid_dim_type {config.encoder_hid_dim_type}")
    if strange:
        raise ConversionError(
            f"the {name} cannot be converted",
            f"it is conditioned in a way that no Core ML pipeline knows ({', '.join(strange)})",
            "choose a Stable Diffusion model",
        )
