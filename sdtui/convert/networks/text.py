"""CLIP's text encoders: a prompt's tokens to what the denoiser reads.

Token numbers are declared float32, as Apple's are: exact up to 2**24, and every binding takes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sdtui.bundle.manifest import NetworkRole
from sdtui.convert.networks.positions import FirstRows
from sdtui.convert.sharing import sharing_weights
from sdtui.convert.source import Source
from sdtui.runtime import Array


def clip_text_encoder(module: nn.Module, bos: int, eos: int, token_length: int) -> Source:
    """The text encoder of Stable Diffusion 1 and 2: a transformers CLIPTextModel.

    ``bos`` and ``eos`` are the tokens that frame a prompt; ``eos`` pads it too.
    ``input_ids`` (1, T) -> ``last_hidden_state`` (1, T, D), after the final layer norm;
    ``pooled_outputs`` (1, D), that at the first ``eos``; and for clip skip, at no cost in weights,
    ``penultimate_hidden_state`` (1, T, D), the final layer norm of what goes into the last layer.
    """
    return Source(
        "text_encoder",
        _LastLayers(_prepared(module, eos, token_length)),
        _prompts(module, bos, eos, eos, token_length),
        ("last_hidden_state", "pooled_outputs", "penultimate_hidden_state"),
    )


def clip_text_encoder_xl(
    module: nn.Module,
    bos: int,
    eos: int,
    pad: int,
    token_length: int,
    role: NetworkRole = "text_encoder",
) -> Source:
    """A CLIP text encoder of SDXL or SD3: a transformers CLIPTextModel, or one WithProjection.

    ``input_ids`` (1, T), padded with ``pad`` -> ``hidden_embeds`` (1, T, D), what goes into the last
    layer, without the final layer norm; ``pooled_outputs`` (1, P), the final state at the first
    ``eos``, projected where the module has a projection.
    """
    return Source(
        role,
        _PenultimateLayer(_prepared(module, eos, token_length)),
        _prompts(module, bos, eos, pad, token_length),
        ("hidden_embeds", "pooled_outputs"),
    )


def _prepared(module: nn.Module, eos: int, token_length: int) -> nn.Module:
    """A copy that pools at ``eos`` and adds the positions as they lie there.

    Old configurations make CLIP pool at the highest token, which a textual inversion's new tokens are.
    """
    module = sharing_weights(module)
    encoder: Any = getattr(module, "text_model", module)
    encoder.eos_token_id = eos
    encoder.embeddings.position_embedding = FirstRows(encoder.embeddings.position_embedding, token_length)
    return module


def _prompts(module: nn.Module, bos: int, eos: int, pad: int, length: int) -> tuple[dict[str, Array], ...]:
    """A short prompt, one word, and as many words as fit."""
    config: Any = module.config
    random = np.random.default_rng(0)
    ordinary = np.setdiff1d(np.arange(config.vocab_size), (bos, eos))
    probes = []
    for words in (length // 4, 1, length - 2):
        ids = np.full((1, length), pad, np.float32)
        ids[0, 0] = bos
        ids[0, 1 : 1 + words] = random.choice(ordinary, words)
        ids[0, 1 + words] = eos
        probes.append({"input_ids": ids})
    return tuple(probes)


class _LastLayers(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        text_model: Any = getattr(encoder, "text_model", encoder)
        self.final_layer_norm = text_model.final_layer_norm

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        encoded = self.encoder(input_ids.to(torch.int32), output_hidden_states=True, return_dict=True)
        penultimate = self.final_layer_norm(encoded.hidden_states[-2])
        return encoded.last_hidden_state, encoded.pooler_output, penultimate


class _PenultimateLayer(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(input_ids.to(torch.int32), output_hidden_states=True, return_dict=True)
        pooled = encoded.text_embeds if "text_embeds" in encoded else encoded.pooler_output
        return encoded.hidden_states[-2], pooled
