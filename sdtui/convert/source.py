"""Torch modules under the inputs and outputs that Core ML Stable Diffusion networks have.

The names, shapes and layouts are those of Apple's converter, so that its users' programs can run our
networks and we theirs. Inputs are declared float32 although Apple's are float16: the Core ML binding
takes nothing smaller, Core ML casts at the door anyway, and a timestep of a Karras schedule has
digits behind the point that float16 drops (953.37 becomes 953.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sdtui.bundle.manifest import NetworkRole
from sdtui.errors import SdtuiError
from sdtui.runtime import Array

PROBED_TIMESTEPS = (1, 100, 801, 999)
"""Where a UNet's accuracy is measured: a float16 timestep embedding fails at the late ones first."""


class ConversionError(SdtuiError):
    """A network or a model cannot be converted."""


@dataclass(frozen=True)
class Source:
    """A torch module as it will be traced.

    ``module`` takes the tensors of ``probes[i]`` in their order and returns a tuple as long as
    ``outputs``. Every probe is a set of float32 inputs that accuracy is measured with; the first one
    is traced.
    """

    role: NetworkRole
    module: nn.Module
    probes: tuple[Mapping[str, Array], ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        for parameter in self.module.parameters():
            if parameter.dtype != torch.float32:
                raise ConversionError(
                    f"the {self.name} cannot be converted",
                    f"it has weights in {parameter.dtype}",
                    "load it in float32",
                )
        self.module.eval()

    @property
    def name(self) -> str:
        """The role as people read it."""
        return self.role.replace("_", " ")

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What the torch module answers: the reference for the converted network."""
        with torch.no_grad():
            outputs = self.module(*(torch.from_numpy(array) for array in inputs.values()))
        return {name: output.numpy() for name, output in zip(self.outputs, outputs, strict=True)}


def text_encoder(module: nn.Module, bos: int, eos: int, token_length: int) -> Source:
    """A transformers CLIPTextModel. ``bos`` and ``eos`` are the tokens that frame a prompt.

    ``input_ids`` (1, T) float32 (exact up to 2**24) -> ``last_hidden_state`` (1, T, D), after the
    final layer norm, and ``pooled_outputs`` (1, D), that at the end-of-text token.
    """
    config: Any = module.config
    random = np.random.default_rng(0)
    probes = []
    for words in (token_length // 4, 1, token_length - 2):
        ids = np.full((1, token_length), eos, np.float32)
        ids[0, 0] = bos
        ids[0, 1 : 1 + words] = random.integers(0, config.vocab_size, words)
        probes.append({"input_ids": ids})
    return Source(
        "text_encoder", _TextEncoder(module), tuple(probes), ("last_hidden_state", "pooled_outputs")
    )


def unet(module: nn.Module, height: int, width: int, token_length: int, batch: int = 2) -> Source:
    """A diffusers UNet2DConditionModel at latents of ``height`` x ``width``; see :class:`_UNet`.

    ``sample`` (B, C, h, w), ``timestep`` (B,), ``encoder_hidden_states`` (B, D, 1, T)
    -> ``noise_pred`` (B, C, h, w). A batch of 2 holds the negative prompt, then the positive one.
    """
    config: Any = module.config
    random = np.random.default_rng(0)
    sample = random.standard_normal((batch, config.in_channels, height, width), np.float32)
    words = random.standard_normal((batch, config.cross_attention_dim, 1, token_length), np.float32)
    probes = tuple(
        {
            "sample": sample,
            "timestep": np.full(batch, timestep, np.float32),
            "encoder_hidden_states": words,
        }
        for timestep in PROBED_TIMESTEPS
    )
    return Source("unet", _UNet(module), probes, ("noise_pred",))


def vae_decoder(vae: nn.Module, height: int, width: int) -> Source:
    """The decoder of a diffusers AutoencoderKL at latents of ``height`` x ``width``.

    ``z`` (1, C, h, w), already divided by the scaling factor -> ``image`` (1, 3, H, W), about -1 to 1.
    """
    config: Any = vae.config
    z = np.random.default_rng(0).standard_normal((1, config.latent_channels, height, width), np.float32)
    return Source("vae_decoder", _VAEDecoder(vae), ({"z": z},), ("image",))


def vae_encoder(vae: nn.Module, height: int, width: int) -> Source:
    """The encoder of a diffusers AutoencoderKL at pictures of ``height`` x ``width`` pixels.

    ``x`` (1, 3, H, W) in -1 to 1 -> ``latent`` (1, 2C, h, w): mean and log variance, not yet sampled
    (a sample inside the network could not be repeated) nor multiplied by the scaling factor.
    """
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
    return Source("vae_encoder", _VAEEncoder(vae), ({"x": x},), ("latent",))


class _TextEncoder(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(input_ids.to(torch.int32), return_dict=False)
        return encoded[0], encoded[1]


class _UNet(nn.Module):
    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> tuple[Tensor]:
        words = encoder_hidden_states.squeeze(2).transpose(1, 2)
        return (self.unet(sample, timestep, words, return_dict=False)[0],)


class _VAEDecoder(nn.Module):
    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> tuple[Tensor]:
        return (self.vae.decode(z, return_dict=False)[0],)  # type: ignore[operator]


class _VAEEncoder(nn.Module):
    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.vae.encode(x).latent_dist.parameters,)  # type: ignore[operator]
