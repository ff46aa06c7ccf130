"""A plan for a request, and the parts of a bundle that are no networks: words, scheduler, manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from sdtui.bundle.bundle import (
    ADDED_TOKENS_FILE,
    MERGES_FILE,
    SCHEDULER_FILE,
    T5_CONFIG_FILE,
    T5_TOKENIZER_FILE,
    VOCABULARY_FILE,
)
from sdtui.bundle.manifest import Manifest, NetworkRole
from sdtui.conversion import ConversionRequest, Part
from sdtui.convert.checkpoint.checkpoint import Checkpoint, Progress, silent
from sdtui.convert.forecasting import forecast, stage_seconds
from sdtui.convert.networks.preview import refuse_other_latents
from sdtui.convert.opening import PREVIEW_DECODER, REFINER, Opened, open_all
from sdtui.convert.plan import NetworkPlan, Plan, Size
from sdtui.convert.source import ConversionError
from sdtui.convert.words import EOS, clip_words
from sdtui.files import reason

_TEXT_ENCODERS: tuple[tuple[str, NetworkRole, Part], ...] = (
    ("text_encoder", "text_encoder", "text-encoder"),
    ("text_encoder_2", "text_encoder_2", "text-encoder"),
    ("text_encoder_3", "text_encoder_3", "text-encoder-t5"),
)
_PICTURE_NETWORKS: tuple[tuple[str, NetworkRole, Part], ...] = (
    ("vae", "vae_decoder", "vae-decoder"),
    ("vae", "vae_encoder", "vae-encoder"),
    ("safety_checker", "safety_checker", "safety-checker"),
)
_LEFT_OUT_OF: Mapping[NetworkRole, tuple[str, ...]] = {
    "vae_decoder": ("encoder.", "quant_conv."),
    "vae_encoder": ("decoder.", "post_quant_conv."),
    "preview_decoder": ("encoder.",),
}
"""How the names of weights begin that belong to the other half of an autoencoder."""

_LEFT_OUT_UNLESS_ASKED = frozenset({"text-encoder-t5"})
"""T5 is larger than all other networks of SD3 together, which does without it."""

_T5_FILES = (T5_TOKENIZER_FILE, T5_CONFIG_FILE)


def prepare(request: ConversionRequest, workspace: Path, bundle: Path, progress: Progress = silent) -> Plan:
    """Open what ``request`` names, write words and scheduler settings to ``bundle``, plan the networks.

    Raises :class:`ConversionError`.
    """
    opened = open_all(request, workspace, progress)
    found = plan(request, opened, workspace)
    try:
        bundle.mkdir(parents=True, exist_ok=True)
        _write_words(opened.checkpoint, found, bundle)
        scheduler = json.dumps(dict(opened.checkpoint.scheduler_config), indent=2, sort_keys=True)
        (bundle / SCHEDULER_FILE).write_text(scheduler + "\n")
    except OSError as error:
        raise ConversionError(
            f"{bundle} cannot be written", reason(error), "choose another place, or make room"
        ) from error
    return found


def plan(request: ConversionRequest, opened: Opened, workspace: Path) -> Plan:
    """Which networks are made, in which sizes. Raises :class:`ConversionError`."""
    checkpoint = opened.checkpoint
    vae = _vae_config(opened)
    scale = 2 ** (len(vae.get("block_out_channels", (0, 0, 0, 0))) - 1)
    channels = vae.get("latent_channels", _denoiser(opened).config.get("out_channels", 4))
    sizes = request.sizes or (_own_size(opened, scale),)
    _refuse_sizes(checkpoint.name, sizes, scale)
    if opened.preview_decoder is not None:
        refuse_other_latents(opened.preview_decoder.config, channels, scale)
    networks = tuple(_networks(request, opened, sizes))
    if not networks:
        raise ConversionError(
            f"{checkpoint.name} cannot be converted", "nothing was chosen of it", "name other --networks"
        )
    networks = tuple(
        msgspec.structs.replace(network, seconds=stage_seconds(network, request)) for network in networks
    )
    manifest = Manifest(
        name=request.name,
        title=checkpoint.name,
        family=checkpoint.family,
        width=sizes[0][0],
        height=sizes[0][1],
        scale=scale,
        latent_channels=channels,
        scaling_factor=vae.get("scaling_factor", 0.18215),
        shift_factor=vae.get("shift_factor") or 0.0,
        token_length=_token_length(checkpoint),
        pad_token=_pad_token(checkpoint, "tokenizer", EOS),
        pad_token_2=_pad_token(checkpoint, "tokenizer_2", "!"),
        attention=request.attention,
        target=request.target,
        source=checkpoint.name,
        adapters=list(opened.adapters),
        networks={},
    )
    return Plan(
        identity=opened.identity(request),
        manifest=manifest,
        networks=networks,
        forecast=forecast(networks, request, workspace),
        warnings=checkpoint.warnings,
    )


def _networks(request: ConversionRequest, opened: Opened, sizes: tuple[Size, ...]) -> Iterator[NetworkPlan]:
    checkpoint, chosen = opened.checkpoint, request.networks
    compressed = request.nbits is not None or request.linear
    denoiser = "transformer" if checkpoint.family == "sd3" else "unet"

    def wanted(part: Part, component: str) -> bool:
        there = component in checkpoint.components
        if chosen is None:
            return there and part not in _LEFT_OUT_UNLESS_ASKED
        if part in chosen and not any(each in checkpoint.components for each in _components(part, denoiser)):
            checkpoint.component(component)  # says what there is
        return there and part in chosen

    def network(roles: tuple[NetworkRole, ...], component: str, **options: Any) -> NetworkPlan:
        parameters = opened.part(component).count(_LEFT_OUT_OF.get(roles[0], ()))
        return NetworkPlan(roles=roles, component=component, parameters=parameters, **options)

    for component, role, part in _TEXT_ENCODERS:
        if wanted(part, component):
            yield network((role,), component, sizes=(), compressed=compressed)
    if wanted("unet", denoiser):
        roles: tuple[NetworkRole, ...] = (_role(checkpoint),)
        if request.unet_support_controlnet:
            if roles != ("unet",):
                raise ConversionError(
                    "there is no UNet for ControlNets",
                    f"{checkpoint.name} is {checkpoint.family}",
                    "leave it out",
                )
            roles = ("unet", "control_unet")
        yield network(roles, denoiser, sizes=sizes, compressed=compressed, halves=request.chunk_unet)
    if opened.refiner is not None:
        yield NetworkPlan(
            roles=("refiner",),
            component=REFINER,
            parameters=opened.refiner.parameters,
            sizes=sizes,
            compressed=compressed,
            halves=request.chunk_unet,
        )
    for name, (source, component_) in opened.controlnets.items():
        yield NetworkPlan(
            roles=("controlnet",),
            component="controlnet",
            source=source,
            name=name,
            parameters=component_.parameters,
            sizes=sizes,
            compressed=compressed,
        )
    for component, role, part in _PICTURE_NETWORKS:
        if wanted(part, component):
            yield network((role,), component, sizes=sizes)
    if opened.preview_decoder is not None:
        yield NetworkPlan(
            roles=("preview_decoder",),
            component=PREVIEW_DECODER,
            parameters=opened.preview_decoder.count(_LEFT_OUT_OF["preview_decoder"]),
            sizes=sizes,
        )
    if request.text_projection is not None:
        yield NetworkPlan(
            roles=("text_projection",), component="text_projection", parameters=768 * 512, sizes=()
        )


def _components(part: Part, denoiser: str) -> list[str]:
    """What a checkpoint may call a part: there are one or two CLIP text encoders."""
    named = [component for component, _, each in (*_TEXT_ENCODERS, *_PICTURE_NETWORKS) if each == part]
    return named or [denoiser]


def _role(checkpoint: Checkpoint) -> NetworkRole:
    match checkpoint.family:
        case "sd3":
            return "mmdit"
        case "sdxl-refiner":
            return "refiner"
        case _:
            return "unet"


def _denoiser(opened: Opened) -> Any:
    return opened.part("transformer" if opened.checkpoint.family == "sd3" else "unet")


def _vae_config(opened: Opened) -> dict[str, Any]:
    """The VAE's settings; what the file of another VAE leaves out (its scaling) is the checkpoint's."""
    own = opened.checkpoint.parts.get("vae")
    parts = (own, opened.vae)
    return {key: value for part in parts if part is not None for key, value in part.config.items()}


def _has_vae(opened: Opened) -> bool:
    return opened.vae is not None or "vae" in opened.checkpoint.components


def _own_size(opened: Opened, scale: int) -> Size:
    sample: Any = _denoiser(opened).config.get("sample_size", 64)
    rows, columns = (sample, sample) if isinstance(sample, int) else sample
    return int(columns) * scale, int(rows) * scale


def _refuse_sizes(name: str, sizes: tuple[Size, ...], scale: int) -> None:
    for width, height in sizes:
        if width % scale or height % scale:
            raise ConversionError(
                f"{name} cannot be converted",
                f"{width} x {height} are not multiples of {scale} pixels",
                "choose a size that is",
            )


def _token_length(checkpoint: Checkpoint) -> int:
    for component in ("text_encoder", "text_encoder_2"):
        if component in checkpoint.components:
            return int(checkpoint.component(component).config.get("max_position_embeddings", 77))
    return 77


def _pad_token(checkpoint: Checkpoint, tokenizer: str, default: str) -> str:
    return (
        clip_words(checkpoint.tokenizer(tokenizer)).pad_token
        if tokenizer in checkpoint.tokenizers
        else default
    )


def _write_words(checkpoint: Checkpoint, found: Plan, bundle: Path) -> None:
    roles = {role for network in found.networks for role in network.roles}
    if roles & {"text_encoder", "text_encoder_2"}:
        tokenizer = "tokenizer" if "tokenizer" in checkpoint.tokenizers else "tokenizer_2"
        words = clip_words(checkpoint.tokenizer(tokenizer))
        (bundle / VOCABULARY_FILE).write_text(words.vocabulary, encoding="utf-8")
        (bundle / MERGES_FILE).write_text(words.merges, encoding="utf-8")
        added = checkpoint.tokenizer(tokenizer) / ADDED_TOKENS_FILE
        if added.exists():
            shutil.copyfile(added, bundle / ADDED_TOKENS_FILE)
    if "text_encoder_3" in roles:
        folder = checkpoint.tokenizer("tokenizer_3")
        for file in _T5_FILES:
            if (folder / file).exists():
                shutil.copyfile(folder / file, bundle / file)
        if not (bundle / T5_TOKENIZER_FILE).exists():
            raise ConversionError(
                "T5 cannot be converted",
                f"{folder} has no {T5_TOKENIZER_FILE}",
                "save its tokenizer in the fast form, or leave T5 out",
            )
