"""LoRA files (Hu et al., 2021): low-rank factors of what was learned, found for a checkpoint's weights.

Understood are kohya's names (``lora_unet_down_blocks_0_...``, also with the original Stable Diffusion's
block names, and LoCon's convolutions) and those of diffusers and PEFT (``unet.down_blocks.0. ...``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sdtui.convert.checkpoint.checkpoint import Checkpoint
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.checkpoint.ldm_names import unet_modules
from sdtui.convert.checkpoint.pickled import load_pickled
from sdtui.convert.checkpoint.reading import broken
from sdtui.convert.checkpoint.safetensors_file import map_tensors, read_header
from sdtui.convert.source import ConversionError


@dataclass(frozen=True)
class Factors:
    """``scale`` x up (O, r) x down (r, I ...); for a convolution ``mid`` (r, r, k, k) may lie between."""

    down: Tensor
    up: Tensor
    mid: Tensor | None
    scale: float

    def add_to(self, weight: Tensor, strength: float) -> None:
        """Add the product, ``strength`` times, to ``weight`` (O, I ...), contiguous float32, in place."""
        down = self.down.float().flatten(1)
        if self.mid is not None:
            down = torch.einsum("pqkl,qi->pikl", self.mid.float(), down).flatten(1)
        weight.flatten(1).addmm_(self.up.float().flatten(1), down, alpha=strength * self.scale)

    def fit(self, shape: tuple[int, ...]) -> bool:
        """Whether the product has as many rows and columns as a weight of ``shape``."""
        rank = self.up.flatten(1).shape[1]
        columns = self.down.flatten(1).shape[1]
        if self.mid is not None:
            if self.mid.ndim != 4 or self.mid.shape[:2] != (rank, self.down.shape[0]):
                return False
            columns *= math.prod(self.mid.shape[2:])
        elif self.down.shape[0] != rank:
            return False
        return self.up.shape[0] == shape[0] and columns == math.prod(shape[1:])


FoundFactors = dict[str, dict[str, Factors]]
"""Factors by the component and the stored name of the weight that they belong to."""


def read_lora(file: Path, checkpoint: Checkpoint) -> FoundFactors:
    """The factors of ``file`` for the weights of ``checkpoint``. Raises :class:`ConversionError`.

    Refused are files of other methods, for another family, and with anything that finds no place.
    """
    modules, settings = read_modules(file)
    _refuse_other_families(file, modules, checkpoint)
    places = _places(checkpoint)
    found: FoundFactors = {}
    unplaced = []
    for module, roles in modules.items():
        place = places.get(_key(module))
        if place is None:
            unplaced.append(module)
            continue
        if not {"down", "up"} <= roles.keys():
            raise broken(file, f"{module} lacks one of its two factors")
        component, weight, shape = place
        factors = _factors(module, roles, settings)
        if not factors.fit(shape):
            raise ConversionError(
                f"{file} cannot be fused", f"{module} does not fit a weight of {shape}", "give one that does"
            )
        if not all(bool(roles[role].isfinite().all()) for role in roles):
            raise broken(file, f"{module} holds numbers that are not finite", "give another")
        found.setdefault(component, {})[weight] = factors
    if unplaced or not found:
        names = ", ".join(unplaced[:3]) + (f" and {len(unplaced) - 3} more" if len(unplaced) > 3 else "")
        raise ConversionError(
            f"{file} cannot be fused",
            f"{checkpoint.name} has no place for {names}" if unplaced else "it holds no LoRA",
            "give one that was trained for this kind of model",
        )
    return found


Modules = dict[str, dict[str, Tensor]]
"""``{module: {"down", "up" and perhaps "mid", "alpha"}}``."""


def read_modules(file: Path) -> tuple[Modules, dict[str, Any]]:
    """What ``file`` holds and PEFT's settings in it, whichever checkpoint it is for.

    Raises :class:`ConversionError` for a broken file and for other methods than LoRA.
    """
    if file.suffix == ".safetensors":
        tensors, metadata = map_tensors(file), read_header(file).metadata
    else:
        tensors, metadata = load_pickled(file), {}
    settings = _settings(metadata)
    _refuse_other_methods(file, tensors, settings)
    return _by_module(file, tensors), settings


_ROLES = re.compile(
    r"(?P<module>.+?)(?:"
    r"\.lora_(?P<kohya>down|up|mid)\.weight"
    r"|\.lora_(?P<peft>[AB])(?:\.[^.]+)?\.weight"
    r"|(?:\.lora|\.lora_linear_layer|_lora)\.(?P<diffusers>down|up)\.weight"
    r"|\.(?P<alpha>alpha))"
)


def _by_module(file: Path, tensors: Mapping[str, Tensor]) -> Modules:
    modules: Modules = {}
    for name, tensor in tensors.items():
        match = _ROLES.fullmatch(name)
        if match is None:
            raise ConversionError(
                f"{file} cannot be fused", f"it is no LoRA: it holds {name}", "give a LoRA file"
            )
        peft = {"A": "down", "B": "up"}.get(match["peft"])
        role = match["kohya"] or peft or match["diffusers"] or match["alpha"]
        if (tensor.ndim < 2 or not tensor.numel()) if role != "alpha" else tensor.numel() != 1:
            raise broken(file, f"{name} has the shape {tuple(tensor.shape)}")
        modules.setdefault(match["module"], {})[role] = tensor
    return modules


_PREFIXES = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "diffusion_model.": "unet",
    "unet.": "unet",
    "transformer.": "transformer",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "text_encoder_3.": "text_encoder_3",
}


def _key(module: str) -> tuple[str, str]:
    """The component and the flattened name that a LoRA's ``module`` means."""
    module = module.removeprefix("base_model.model.")
    prefix = next((prefix for prefix in _PREFIXES if module.startswith(prefix)), "")
    return _PREFIXES.get(prefix, "unet"), _flat(module[len(prefix) :])


def _flat(name: str) -> str:
    """kohya writes dots as underscores; old diffusers names a processor, and the output without a number."""
    flat = name.replace(".processor.", ".").replace(".", "_").removeprefix("text_model_")
    return f"{flat}_0" if flat.endswith("_to_out") else flat


def _places(checkpoint: Checkpoint) -> dict[tuple[str, str], tuple[str, str, tuple[int, ...]]]:
    """Component, stored name and shape of every weight, by the keys that LoRAs may use for it."""
    places = {}
    for name in ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3"):
        if name not in checkpoint.parts:
            continue
        component = checkpoint.component(name)
        originals = unet_modules(component.config) if name == "unet" else {}
        for weight, shape in _weights(component):
            module = weight.removesuffix(".weight")
            place = (name, weight, shape)
            places[name, _flat(module)] = place
            if module in originals:
                places[name, _flat(originals[module])] = place
    return places


def _weights(component: Component) -> Iterable[tuple[str, tuple[int, ...]]]:
    for header in component.headers:
        for name, stored in header.tensors.items():
            if name.endswith(".weight") and len(stored.shape) >= 2:
                yield name, stored.shape


def _factors(module: str, roles: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Factors:
    """Scaled by alpha / rank, or by alpha / sqrt(rank) where PEFT says so; alpha is the rank by default."""
    rank = roles["down"].shape[0]
    component, _, path = module.removeprefix("base_model.model.").partition(".")
    alpha = float(roles["alpha"]) if "alpha" in roles else float(rank)
    own = {name.removeprefix(f"{component}."): value for name, value in settings.items()}
    if "alpha" not in roles and isinstance(own.get("lora_alpha"), int | float):
        alpha = float(own["lora_alpha"])
        patterns = own.get("alpha_pattern")
        for pattern, special in patterns.items() if isinstance(patterns, dict) else ():
            if path == pattern.lstrip("^") or path.endswith(f".{pattern}"):
                alpha = float(special)
    scale = alpha / math.sqrt(rank) if own.get("use_rslora") else alpha / rank
    return Factors(roles["down"], roles["up"], roles.get("mid"), scale)


def _settings(metadata: Mapping[str, str]) -> dict[str, Any]:
    """PEFT's configuration, which diffusers leaves in a file's metadata; names begin with the component's."""
    try:
        settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except (ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


_OTHER_METHODS = {
    "DoRA": r"dora_scale|lora_magnitude_vector",
    "LoHa": r"hada_\w+",
    "LoKr": r"lokr_\w+",
    "OFT": r"oft_\w+",
    "IA3": r"on_input",
    "full differences": r"diff|diff_b",
    "a LoRA with biases": r"bias",
}


def _refuse_other_methods(file: Path, tensors: Iterable[str], settings: Mapping[str, Any]) -> None:
    names = list(tensors)
    methods = {
        method
        for method, marks in _OTHER_METHODS.items()
        if any(re.search(rf"\.({marks})(\.|$)", name) for name in names)
    }
    if any(name.endswith("use_dora") and value for name, value in settings.items()):
        methods.add("DoRA")
    if methods:
        raise ConversionError(
            f"{file} cannot be fused", f"it is {' and '.join(sorted(methods))}", "give a plain LoRA"
        )


_BY_WORDS = {
    768: "Stable Diffusion 1",
    1024: "Stable Diffusion 2",
    1280: "the refiner of Stable Diffusion XL",
    2048: "Stable Diffusion XL",
}
"""Who takes text of how many channels."""

_BY_FAMILY = {
    "sd": "Stable Diffusion 1 or 2",
    "sdxl": "Stable Diffusion XL",
    "sdxl-refiner": "the refiner of Stable Diffusion XL",
    "sd3": "Stable Diffusion 3",
}


def _refuse_other_families(
    file: Path, modules: Mapping[str, Mapping[str, Tensor]], checkpoint: Checkpoint
) -> None:
    theirs = _made_for(modules)
    ours = _BY_FAMILY[checkpoint.family]
    if "unet" in checkpoint.parts:
        ours = _BY_WORDS.get(checkpoint.component("unet").config.get("cross_attention_dim", 0), ours)
    if theirs is not None and theirs != ours:
        raise ConversionError(
            f"{file} cannot be fused",
            f"it was made for {theirs}, and {checkpoint.name} is {ours}",
            "give one that was trained for this kind of model",
        )


def _made_for(modules: Mapping[str, Mapping[str, Tensor]]) -> str | None:
    for module, roles in modules.items():
        _, flat = _key(module)
        if re.search(r"double_blocks|single_transformer_blocks", flat):
            return "Flux"
        if flat.startswith(("joint_blocks", "transformer_blocks")):
            return _BY_FAMILY["sd3"]
        if (
            flat.endswith("attn2_to_k")
            and "down" in roles
            and (known := _BY_WORDS.get(roles["down"].shape[1]))
        ):
            return known
    return None
