"""T5, the third text encoder of Stable Diffusion 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.t5.modeling_t5 import T5Attention, T5DenseActDense, T5DenseGatedActDense, T5LayerNorm

from sdtui.convert.float32 import Float32Arithmetic
from sdtui.convert.networks.positions import LookedUp
from sdtui.convert.sharing import sharing_weights
from sdtui.convert.source import Source
from sdtui.runtime import Array

RESIDUAL_SCALE = 2.0**-6
"""What everything between the layers is multiplied with, so that float16 holds it."""

_MASKED = -1e4
"""What is added to a score that should not count: enough, and a number in float16 too."""


def t5_text_encoder(module: nn.Module, token_length: int) -> Source:
    """A transformers T5EncoderModel, in a form that holds in float16.

    ``input_ids`` (1, S) and ``attention_mask`` (1, S), which is 1 at a prompt's tokens and 0 at
    padding -> ``encoder_hidden_states`` (1, D, 1, S). The Swift pipeline of Apple's package gives this
    mask the other way round.
    """
    return Source(
        "text_encoder_3",
        _T5(module, token_length),
        _prompts(module, token_length),
        ("encoder_hidden_states",),
    )


def _prompts(module: nn.Module, length: int) -> tuple[dict[str, Array], ...]:
    config: Any = module.config
    random = np.random.default_rng(0)
    probes = []
    for tokens in (max(length // 4, 1), length):
        ids = np.full((1, length), config.pad_token_id, np.float32)
        ids[0, :tokens] = random.integers(0, config.vocab_size, tokens)
        mask = (np.arange(length) < tokens).astype(np.float32)[None]
        probes.append({"input_ids": ids, "attention_mask": mask})
    return tuple(probes)


class _T5(nn.Module):
    def __init__(self, encoder: nn.Module, token_length: int) -> None:
        super().__init__()
        self.encoder: Any = sharing_weights(encoder)
        _scale_residuals(self.encoder)
        _look_up_positions(self.encoder, token_length)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        embed = self.encoder.get_input_embeddings()
        encoded = self.encoder(
            inputs_embeds=embed(input_ids.to(torch.int32)) * RESIDUAL_SCALE,
            attention_mask=((1 - attention_mask) * _MASKED)[:, None, None, :],
            return_dict=False,
        )
        return (encoded[0].transpose(1, 2).unsqueeze(2),)


def _scale_residuals(encoder: nn.Module) -> None:
    """Carry what is between the layers at a fraction of its size; the answer stays the same.

    In T5 XXL it grows beyond the 65504 of float16. But it is only ever read through a norm that divides
    by its root mean square, which a common factor does not change, if its epsilon has it twice; so
    each layer's last weight gets less to add.
    """
    for module in list(encoder.modules()):
        if isinstance(module, T5LayerNorm):
            module.variance_epsilon *= RESIDUAL_SCALE**2
        elif isinstance(module, T5Attention):
            module.o.register_forward_pre_hook(_scaled)
        elif isinstance(module, (T5DenseActDense, T5DenseGatedActDense)):
            module.wo.register_forward_pre_hook(_scaled)


def _look_up_positions(encoder: nn.Module, token_length: int) -> None:
    """Replace the table of relative positions by what it says of each pair of tokens."""
    for module in encoder.modules():
        if isinstance(module, T5Attention) and module.has_relative_attention_bias:
            with torch.no_grad(), Float32Arithmetic():
                bias = module.compute_bias(token_length, token_length)
            module.relative_attention_bias = LookedUp(bias[0].permute(1, 2, 0))


def _scaled(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0] * RESIDUAL_SCALE, *inputs[1:])
