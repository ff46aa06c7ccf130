"""Every number of the recipe, in one place."""

from __future__ import annotations

from dataclasses import dataclass

PIXELS = 64
"""Height and width of a picture."""
LATENT_SIZE = 8
"""Height and width of its latents."""
LATENT_CHANNELS = 16
TOKENS = 77
"""Length of a token sequence, as in CLIP."""
TRAIN_TIMESTEPS = 1000
BETA_START = 0.00085
BETA_END = 0.012

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
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
"""Background colours by the word that asks for them, 8-bit sRGB."""


@dataclass(frozen=True)
class ArtworkConfig:
    """How the 256 px artwork becomes 64 px training pictures."""

    variants: int = 8
    """Pictures of one subject: as drawn, mirrored, then moved and scaled a little at random."""
    scale: float = 0.88
    """Width of the artwork as a part of the picture's width, as drawn."""
    scale_range: tuple[float, float] = (0.82, 0.92)
    shift: float = 2.0
    """Largest displacement of a variant, pixels of the finished picture."""
    seed: int = 1


@dataclass(frozen=True)
class VaeConfig:
    """The autoencoder (diffusers ``AutoencoderKL``) and its training."""

    block_out_channels: tuple[int, ...] = (32, 64, 128, 128)
    layers_per_block: int = 1
    norm_groups: int = 8
    kl_weight: float = 3e-4
    edge_weight: float = 0.5
    batch: int = 16
    learning_rate: float = 1e-3
    minutes: float = 25.0
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
    """Principal components of the pictures that the caption has to predict."""
    batch: int = 128
    learning_rate: float = 1e-3
    minutes: float = 12.0
    seed: int = 3


@dataclass(frozen=True)
class UnetConfig:
    """The denoiser (diffusers ``UNet2DConditionModel``) and its training."""

    block_out_channels: tuple[int, ...] = (160, 224)
    layers_per_block: int = 1
    attention: tuple[bool, ...] = (False, True)
    """Whether the blocks of a level look at the text, fine to coarse."""
    heads: int = 8
    batch: int = 32
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    ema_decay: float = 0.999
    empty_captions: float = 0.1
    variant_weights: tuple[float, ...] = (0.7, 0.0, 0.1, 0.0, 0.1, 0.0, 0.1, 0.0)
    """How often each variant of a picture is shown: mostly as drawn, and none mirrored. A model of this
    size blends a picture with its mirror image into something symmetrical."""
    captions_per_picture: int = 5
    """Different captions kept for every pair of subject and background."""
    minutes: float = 70.0
    seed: int = 4


@dataclass(frozen=True)
class DecoderConfig:
    """The second training of the decoder, from latents."""

    edge_weight: float = 0.5
    drawings: int = 2560
    """Pictures that the denoiser draws for the decoder to learn from."""
    drawing_steps: int = 16
    guidance: tuple[float, float] = (2.0, 8.0)
    """Each is drawn with another guidance scale, from this range."""
    batch: int = 16
    """A quarter of it are drawings, a quarter latents with noise added and taken away, half as encoded."""
    latest_timestep: int = 300
    """The noise that is taken away again reaches at most this timestep."""
    learning_rate: float = 8e-4
    minutes: float = 20.0
    seed: int = 5
