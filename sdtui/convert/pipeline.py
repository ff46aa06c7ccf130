"""A whole Stable Diffusion pipeline of torch modules to one bundle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from sdtui.bundle.bundle import (
    MANIFEST_FILE,
    MERGES_FILE,
    SCHEDULER_FILE,
    VOCABULARY_FILE,
    network_sha256,
)
from sdtui.bundle.manifest import STEMS, Manifest, NetworkEntry, NetworkRole, Preview
from sdtui.conversion import ComputePrecision, Target
from sdtui.convert.accuracy import measure
from sdtui.convert.encoding.encodings import Palette, PaletteBits
from sdtui.convert.network import convert_network
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.text import clip_text_encoder
from sdtui.convert.networks.unet import unet as unet_source
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.source import ConversionError, Source
from sdtui.convert.words import clip_words
from sdtui.files import create_folder_atomically, reason


def convert_pipeline(
    text_encoder: nn.Module,
    tokenizer: Path,
    unet: nn.Module,
    vae: nn.Module,
    scheduler_config: Mapping[str, Any],
    output: Path,
    *,
    name: str,
    title: str,
    description: str = "",
    licence: str = "",
    width: int,
    height: int,
    token_length: int = 77,
    batch: int = 2,
    preview: Preview | None = None,
    target: Target = "macOS13",
    precision: ComputePrecision = "fp16",
    nbits: Mapping[NetworkRole, PaletteBits] | None = None,
) -> Manifest:
    """Convert a Stable Diffusion 1.x or 2.x pipeline; ``output`` appears whole or not at all.

    ``text_encoder`` is a transformers CLIPTextModel, ``unet`` a diffusers UNet2DConditionModel,
    ``vae`` a diffusers AutoencoderKL, all float32; ``tokenizer`` a folder with vocab.json and
    merges.txt; ``scheduler_config`` what a diffusers scheduler_config.json holds. ``width`` and
    ``height`` are pixels. ``batch`` is the UNet's: 2 takes both prompts at once. ``nbits`` palettizes
    the networks that it names. Raises :class:`ConversionError`; an existing ``output`` is refused.
    """
    words = clip_words(tokenizer)
    config: Any = vae.config
    scale = 2 ** (len(config.block_out_channels) - 1)
    if width % scale or height % scale:
        raise ConversionError(
            f"{name} cannot be converted",
            f"{width} x {height} are not multiples of {scale} pixels",
            "choose a size that is",
        )
    rows, columns = height // scale, width // scale
    sources = (
        clip_text_encoder(text_encoder, words.bos, words.eos, token_length),
        unet_source(unet, Shape(rows, columns, token_length, batch)),
        vae_decoder(vae, rows, columns),
        vae_encoder(vae, height, width),
    )
    try:
        with create_folder_atomically(output) as folder:
            folder.mkdir()
            manifest = Manifest(
                name=name,
                title=title,
                description=description,
                licence=licence,
                width=width,
                height=height,
                scale=scale,
                latent_channels=config.latent_channels,
                scaling_factor=config.scaling_factor,
                shift_factor=config.shift_factor or 0.0,
                token_length=token_length,
                pad_token=words.pad_token,
                preview=preview,
                networks=convert_networks(
                    sources, folder, target=target, precision=precision, nbits=nbits or {}
                ),
            )
            (folder / VOCABULARY_FILE).write_text(words.vocabulary, encoding="utf-8")
            (folder / MERGES_FILE).write_text(words.merges, encoding="utf-8")
            (folder / SCHEDULER_FILE).write_text(json.dumps(dict(scheduler_config), indent=2) + "\n")
            (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    except OSError as error:
        raise ConversionError(
            f"{output} cannot be written", reason(error), "choose another place, or make room"
        ) from error
    return manifest


def convert_networks(
    sources: Iterable[Source],
    folder: Path,
    *,
    target: Target,
    precision: ComputePrecision,
    nbits: Mapping[NetworkRole, PaletteBits],
) -> dict[NetworkRole, NetworkEntry]:
    """Convert each source into ``folder``, hash it, and measure it against its torch module."""
    entries = {}
    for each in sources:
        bits = nbits.get(each.role)
        package = folder / f"{STEMS[each.role]}.mlpackage"
        convert_network(
            each, package, target=target, precision=precision, compression=Palette(bits) if bits else None
        )
        entries[each.role] = NetworkEntry(
            file=package.name,
            sha256=network_sha256(package),
            psnr=round(measure(each, package), 1),
            nbits=bits,
        )
    return entries
