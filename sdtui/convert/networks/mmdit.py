"""The multimodal diffusion transformer of Stable Diffusion 3, under the names that DiffusionKit gave it."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from sdtui.convert.networks.conditions import Shape
from sdtui.convert.source import PROBED_TIMESTEPS, ConversionError, Source


def mmdit(module: nn.Module, shape: Shape) -> Source:
    """A diffusers SD3Transformer2DModel.

    ``latent_image_embeddings`` (B, C, h, w), ``token_level_text_embeddings`` (B, 4096, 1, T), CLIP's
    77 tokens and then T5's, ``pooled_text_embeddings`` (B, 2048, 1, 1), both CLIPs', ``timestep``
    (B,), 1000 times sigma -> ``denoiser_output`` (B, C, h, w), the velocity. Raises
    :class:`ConversionError` for latents beyond the model's positions.
    """
    config: Any = module.config
    largest = config.pos_embed_max_size * config.patch_size
    if max(shape.height, shape.width) > largest or (shape.height | shape.width) % config.patch_size:
        raise ConversionError(
            "the transformer cannot be converted",
            f"latents of {shape.width} x {shape.height} are above {largest} or cannot be cut in patches",
            "choose another size",
        )
    random = np.random.default_rng(0)

    def normal(*sizes: int) -> np.ndarray[Any, Any]:
        return random.standard_normal((shape.batch, *sizes), np.float32)

    given = {
        "latent_image_embeddings": normal(config.in_channels, shape.height, shape.width),
        "token_level_text_embeddings": normal(config.joint_attention_dim, 1, shape.token_length),
        "pooled_text_embeddings": normal(config.pooled_projection_dim, 1, 1),
    }
    probes = tuple(
        {**given, "timestep": np.full(shape.batch, timestep, np.float32)} for timestep in PROBED_TIMESTEPS
    )
    return Source("mmdit", _MMDiT(module), probes, ("denoiser_output",))


class _MMDiT(nn.Module):
    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, latents: Tensor, text: Tensor, pooled: Tensor, timestep: Tensor) -> tuple[Tensor]:
        return (
            self.transformer(
                hidden_states=latents,
                encoder_hidden_states=text.squeeze(2).transpose(1, 2),
                pooled_projections=pooled.flatten(1),
                timestep=timestep,
                return_dict=False,
            )[0],
        )
