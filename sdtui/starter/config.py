"""Every number of the recipe, in one place."""

from __future__ import annotations

from dataclasses import dataclass

PIXELS = 128
"""Height and width of a picture."""
LATENT_SIZE = 16
"""Height and width of its latents."""
LATENT_CHANNELS = 8
TOKENS = 77
"""Length of a token sequence, as in CLIP."""
TRAIN_TIMESTEPS = 1000
BETA_START = 0.00085
BETA_END = 0.012

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (226, 72, 72),
    "orange": (247, 148, 60),
    "yellow": (250, 214, 80),
    "green": (92, 186, 106),
    "blue": (74, 136, 226),
    "purple": (148, 98, 214),
    "pink": (246, 148, 190),
    "white": (246, 246, 244),
    "gray": (150, 154, 160),
    "black": (36, 38, 44),
}
"""Plain backgrounds by the word that asks for them, 8-bit sRGB."""
SCENERIES = ("meadow", "sunset", "night sky")
"""Backgrounds that are drawn: see :mod:`sdtui.starter.backgrounds`."""
BACKGROUNDS = (*COLOURS, *SCENERIES)
"""All backgrounds, by their number."""
STYLES = ("3d", "flat", "line")
"""The styles of the artwork, by their number. All three show the same designs."""


@dataclass(frozen=True)
class VaeConfig:
    """The autoencoder (diffusers ``AutoencoderKL``) and its training."""

    block_out_channels: tuple[int, ...] = (32, 64, 128, 128)
    layers_per_block: int = 1
    norm_groups: int = 8
    kl_weight: float = 1e-4
    edge_weight: float = 0.5
    crop: int = 64
    """Training looks at so many pixels of a picture; the network is convolutional throughout."""
    batch: int = 16
    learning_rate: float = 8e-4
    steps: int = 3000
    seed: int = 2


@dataclass(frozen=True)
class TextConfig:
    """The text encoder (transformers ``CLIPTextModel``) and its training."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    vocabulary: int = 4096
    """Largest number of byte-pair tokens, the two markers and the 512 single bytes included."""
    components: int = 192
    """Principal components of the artwork that the caption has to predict."""
    batch: int = 96
    learning_rate: float = 8e-4
    steps: int = 3000
    seed: int = 3


@dataclass(frozen=True)
class UnetConfig:
    """The denoiser (diffusers ``UNet2DConditionModel``) and its training."""

    block_out_channels: tuple[int, ...] = (96, 160, 224)
    layers_per_block: int = 1
    attention: tuple[bool, ...] = (False, True, True)
    """Whether the blocks of a level look at the text, fine to coarse."""
    heads: int = 8
    batch: int = 32
    learning_rate: float = 5e-4
    steps: int = 16_000
    ema_decay: float = 0.999
    empty_captions: float = 0.1
    seed: int = 4


@dataclass(frozen=True)
class PoolConfig:
    """The pictures that the denoiser learns from, encoded, in shards that are made when needed."""

    shard: int = 2048
    """Pictures of a shard."""
    first: int = 2
    """Shards before the first step."""
    steps_per_shard: int = 250
    """Steps after which another shard is added."""
    kept: int = 48
    """Only the latest so many are used."""
    seed: int = 6


@dataclass(frozen=True)
class DecoderConfig:
    """The second training of the decoder, from what the denoiser makes of latents."""

    edge_weight: float = 0.5
    batch: int = 12
    """Half of it are latents with noise added and taken away, half as encoded."""
    latest_timestep: int = 500
    """The noise that is taken away again reaches at most this timestep."""
    learning_rate: float = 6e-4
    steps: int = 3000
    seed: int = 5


@dataclass(frozen=True)
class EdgesConfig:
    """A ControlNet (diffusers ``ControlNetModel``) that follows edges."""

    embedding_channels: tuple[int, ...] = (16, 32, 64, 96)
    """Of the layers that look at the edges, from 128 px to 16."""
    batch: int = 16
    learning_rate: float = 3e-4
    steps: int = 3000
    seed: int = 8


@dataclass(frozen=True)
class StyleConfig:
    """A LoRA for a style that the denoiser was not trained on: pixel art."""

    rank: int = 8
    batch: int = 16
    learning_rate: float = 1e-3
    steps: int = 1000
    seed: int = 9


@dataclass(frozen=True)
class FewConfig:
    """A denoiser that needs four steps and no guidance, taught by the one that needs twenty."""

    drawing_steps: int = 4
    teacher_steps: int = 4
    """Of the teacher, for each of the pupil's."""
    guidance: float = 4.0
    """The teacher's; the pupil has it built in."""
    batch: int = 16
    learning_rate: float = 1e-4
    steps: int = 4000
    ema_decay: float = 0.995
    seed: int = 10


@dataclass(frozen=True)
class JudgeConfig:
    """The classifier of the evaluation: it sees real pictures only."""

    channels: tuple[int, ...] = (48, 96, 192)
    batch: int = 48
    learning_rate: float = 2e-3
    steps: int = 6000
    seed: int = 7
