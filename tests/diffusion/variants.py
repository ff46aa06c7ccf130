"""Variants of the tiny model: the same words and VAE, another UNet, and ControlNets beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import CONTROLNET_FOLDER, MANIFEST_FILE, network_sha256
from sdtui.bundle.manifest import STEMS, Manifest, NetworkEntry, NetworkRole
from sdtui.convert.network import convert_network
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.controlnet import controlnet as controlnet_source
from sdtui.convert.networks.unet import control_unet
from sdtui.convert.networks.unet import unet as unet_source
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.source import Source
from tests.convert.architectures import seeded
from tests.tiny import CHANNELS, LATENT, PIXELS, TOKENS, TinyTorch

CONTROLNETS = ("edges", "pose")
_SHARED: Mapping[str, Any] = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
    "norm_num_groups": 8,
}


@cache
def tiny_unet(in_channels: int = CHANNELS) -> UNet2DConditionModel:
    """A UNet with a middle, where ControlNets add too; with 9 channels it is one for inpainting."""
    unet = seeded(
        lambda: UNet2DConditionModel(
            sample_size=LATENT,
            in_channels=in_channels,
            out_channels=CHANNELS,
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            **_SHARED,
        )
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        answer = unet(torch.randn(2, in_channels, LATENT, LATENT), 500, torch.randn(2, TOKENS, 16)).sample
        unet.conv_out.weight.div_(answer.std())
        unet.conv_out.bias.sub_(answer.mean((0, 2, 3))).div_(answer.std())
    return unet


@cache
def tiny_controlnet(name: str) -> ControlNetModel:
    """A ControlNet of :func:`tiny_unet`; each of CONTROLNETS is another one."""
    network = seeded(
        lambda: ControlNetModel(
            in_channels=CHANNELS, conditioning_embedding_out_channels=(4, 4, 8, 8), **_SHARED
        )
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(CONTROLNETS.index(name))
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
        for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block):
            layer.weight.mul_(4)  # so that a wrong weight shows
    return network


def inpainting_variant(bundle: Path, output: Path, batch: int = 2) -> Path:
    """The bundle with an inpainting UNet of 9 channels."""
    shape = Shape(LATENT, LATENT, TOKENS, batch)
    return variant(bundle, output, {"unet": unet_source(tiny_unet(2 * CHANNELS + 1), shape)})


def control_variant(bundle: Path, output: Path) -> Path:
    """The bundle with a UNet that listens to ControlNets, and CONTROLNETS."""
    shape = Shape(LATENT, LATENT, TOKENS)
    return variant(
        bundle,
        output,
        {"control_unet": control_unet(tiny_unet(), shape)},
        {name: controlnet_source(tiny_controlnet(name), shape) for name in CONTROLNETS},
    )


def inpainting_control_variant(controlled: Path, output: Path) -> Path:
    """A bundle of :func:`control_variant` whose UNet inpaints, with a batch of 1: ControlNets keep 2."""
    shape = Shape(LATENT, LATENT, TOKENS, 1)
    return variant(controlled, output, {"control_unet": control_unet(tiny_unet(2 * CHANNELS + 1), shape)})


def sized_variant(tiny: TinyTorch, bundle: Path, output: Path, pixels: int) -> Path:
    """The bundle with networks for square pictures of ``pixels`` too, in packages of their own."""
    latent = pixels * LATENT // PIXELS
    sources: Mapping[NetworkRole, Source] = {
        "unet": unet_source(tiny.unet, Shape(latent, latent, TOKENS)),
        "vae_decoder": vae_decoder(tiny.vae, latent, latent),
        "vae_encoder": vae_encoder(tiny.vae, pixels, pixels),
    }
    shutil.copytree(bundle, output, copy_function=os.link)
    networks = dict(Bundle.open(bundle).manifest.networks)
    for role, source in sources.items():
        other = _converted(source, output, f"{STEMS[role]}_{pixels}.mlpackage").file
        networks[role] = msgspec.structs.replace(networks[role], sizes={f"{pixels}x{pixels}": other})
    _rewrite_manifest(output, networks=networks)
    return output


def variant(
    bundle: Path,
    output: Path,
    sources: Mapping[NetworkRole, Source],
    controlnets: Mapping[str, Source] = MappingProxyType({}),
) -> Path:
    """A copy of ``bundle`` with more networks, or others, in float32; what stays is linked."""
    manifest = Bundle.open(bundle).manifest
    replaced = shutil.ignore_patterns(*(f"{STEMS[role]}.*" for role in sources))
    shutil.copytree(bundle, output, copy_function=os.link, ignore=replaced)
    networks = dict(manifest.networks) | {
        role: _converted(source, output, f"{STEMS[role]}.mlpackage") for role, source in sources.items()
    }
    controls = dict(manifest.controlnets) | {
        name: _converted(source, output, f"{CONTROLNET_FOLDER}/{name}.mlpackage")
        for name, source in controlnets.items()
    }
    _rewrite_manifest(output, networks=networks, controlnets=controls)
    return output


def with_manifest(bundle: Path, output: Path, **changes: Any) -> Path:
    """The bundle with another manifest and nothing else."""
    shutil.copytree(bundle, output, copy_function=os.link)
    _rewrite_manifest(output, **changes)
    return output


def _rewrite_manifest(bundle: Path, **changes: Any) -> None:
    """In place, but not in the bundle that the file is linked to."""
    content = msgspec.json.decode((bundle / MANIFEST_FILE).read_bytes(), type=Manifest)
    (bundle / MANIFEST_FILE).unlink()
    changed = msgspec.structs.replace(content, name=bundle.name, **changes)
    (bundle / MANIFEST_FILE).write_bytes(msgspec.json.encode(changed))


def _converted(source: Source, folder: Path, file: str) -> NetworkEntry:
    (folder / file).parent.mkdir(exist_ok=True)
    convert_network(source, folder / file, target="macOS13", precision="fp32")
    return NetworkEntry(file=file, sha256=network_sha256(folder / file))
