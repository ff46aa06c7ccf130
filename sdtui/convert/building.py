"""The torch sources of a planned network, one for each role and size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sdtui.bundle.manifest import Manifest, NetworkRole, Preview
from sdtui.conversion import ConversionRequest
from sdtui.convert.attention import rearrange
from sdtui.convert.checkpoint.safetensors_file import release_pages
from sdtui.convert.colours import fit_preview
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.controlnet import controlnet
from sdtui.convert.networks.mmdit import mmdit
from sdtui.convert.networks.preview import preview_decoder
from sdtui.convert.networks.projection import text_projection
from sdtui.convert.networks.safety import safety_checker
from sdtui.convert.networks.t5 import t5_text_encoder
from sdtui.convert.networks.text import clip_text_encoder, clip_text_encoder_xl
from sdtui.convert.networks.unet import POOLED_SIZE, control_unet, unet
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.opening import Opened
from sdtui.convert.plan import NetworkPlan, Size
from sdtui.convert.source import Source
from sdtui.convert.words import clip_words
from sdtui.runtime import Array

CLIP_TOKENS = 77
T5_TOKENS = 77
"""As many as SD3's pipelines give each encoder by default."""


class Builder:
    """Makes the sources of one network; its module is opened once, whatever the sizes."""

    def __init__(
        self, request: ConversionRequest, manifest: Manifest, opened: Opened, network: NetworkPlan
    ) -> None:
        self._request = request
        self._manifest = manifest
        self._opened = opened
        self._network = network
        projection = network.roles[0] == "text_projection"
        self._module = nn.Identity() if projection else opened.component(network).module()

    def source(self, role: NetworkRole, size: Size) -> Source:
        """The source of ``role`` for pictures of ``size`` pixels. Raises :class:`ConversionError`."""
        return replace(self._source(role, size), release=release_pages)

    def preview(self) -> Preview:
        """What the latents of a VAE, the network here, look like."""
        manifest = self._manifest
        smallest = (manifest.scale, manifest.scale)
        encoder, decoder = self.source("vae_encoder", smallest), self.source("vae_decoder", smallest)

        def encode(picture: Array) -> Array:
            mean, _log_variance = np.split(encoder.predict({"x": picture})["latent"], 2, axis=1)
            return mean

        return fit_preview(
            encode,
            lambda z: decoder.predict({"z": z})["image"],
            scale=manifest.scale,
            scaling_factor=manifest.scaling_factor,
            shift_factor=manifest.shift_factor,
        )

    def _source(self, role: NetworkRole, size: Size) -> Source:
        width, height = size
        rows, columns = height // self._manifest.scale, width // self._manifest.scale
        match role:
            case "text_encoder" | "text_encoder_2":
                return self._clip(role)
            case "text_encoder_3":
                return t5_text_encoder(self._module, self._request.token_length or T5_TOKENS)
            case "text_projection":
                return text_projection(Path(self._request.text_projection or ""))
            case "mmdit":
                tokens = CLIP_TOKENS + (self._request.token_length or T5_TOKENS)
                return mmdit(self._module, Shape(rows, columns, tokens, self._batch))
            case "vae_decoder":
                return vae_decoder(self._module, rows, columns)
            case "vae_encoder":
                return vae_encoder(self._module, height, width)
            case "preview_decoder":
                return preview_decoder(self._module, rows, columns)
            case "safety_checker":
                return safety_checker(self._module, height, width)
            case _:
                tokens = self._request.token_length or self._manifest.token_length
                return self._denoiser(role, Shape(rows, columns, tokens, self._batch))

    @property
    def _batch(self) -> int:
        return 1 if self._request.unet_batch_one else 2

    def _denoiser(self, role: NetworkRole, shape: Shape) -> Source:
        build = {"control_unet": control_unet, "controlnet": controlnet}.get(role, unet)
        return build(
            rearrange(self._module, self._request.attention),
            shape,
            text_hidden_size=self._request.text_hidden_size,
            pooled_size=self._pooled_size(),
        )

    def _pooled_size(self) -> int:
        """The width of what the second text encoder says about a whole prompt."""
        if "text_encoder_2" not in self._opened.checkpoint.components:
            return POOLED_SIZE
        return int(self._opened.part("text_encoder_2").config.get("projection_dim", POOLED_SIZE))

    def _clip(self, role: NetworkRole) -> Source:
        second = role == "text_encoder_2"
        tokenizers = self._opened.checkpoint.tokenizers
        named = "tokenizer_2" if second and "tokenizer_2" in tokenizers else "tokenizer"
        words = clip_words(self._opened.checkpoint.tokenizer(named))
        config: Any = self._module.config
        length = config.max_position_embeddings
        if self._manifest.family == "sd":
            return clip_text_encoder(self._module, words.bos, words.eos, length)
        return clip_text_encoder_xl(self._module, words.bos, words.eos, words.pad, length, role)
