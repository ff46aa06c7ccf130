"""One network of a checkpoint: its configuration, its weights, and the torch module of both."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sdtui.convert.checkpoint.safetensors_file import Header, map_tensors, read_header
from sdtui.convert.source import ConversionError

CLASSES: Mapping[str, str] = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderTiny": "diffusers",
    "ControlNetModel": "diffusers",
    "SD3Transformer2DModel": "diffusers",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
    "T5EncoderModel": "transformers",
    "StableDiffusionSafetyChecker": "diffusers.pipelines.stable_diffusion.safety_checker",
}
"""What is converted, and where its class lives."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32)

MOST_POSITIONS = 1 << 30
"""Numbers in a table of positions that no file holds; Stable Diffusion 3.5 has 0.2 << 30."""

_SUPERFLUOUS = {
    "CLIPTextModel": r"text_projection\.weight|logit_scale|vision_model\..*|visual_projection\..*",
    "T5EncoderModel": r"decoder\..*|lm_head\..*",
}
"""Weights that files carry along for a class that has no place for them."""


@dataclass(frozen=True)
class Component:
    """A network on disk: ``config`` as its config.json has it, ``files`` safetensors with all weights."""

    name: str
    class_name: str
    folder: Path
    config: Mapping[str, Any]
    files: tuple[Path, ...]

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """What each of ``files`` holds."""
        return tuple(read_header(file) for file in self.files)

    @property
    def parameters(self) -> int:
        """How many floating-point numbers the files hold."""
        return self.count()

    def count(self, without: tuple[str, ...] = ()) -> int:
        """The same, without tensors whose names begin with one of ``without``."""
        return sum(
            stored.count
            for header in self.headers
            for name, stored in header.tensors.items()
            if stored.dtype.is_floating_point and not name.startswith(without)
        )

    @property
    def bytes(self) -> int:
        """What the files take on disk."""
        return sum(file.stat().st_size for file in self.files)

    def fingerprint(self) -> str:
        """32 hex digits that change with any weight or setting; from headers, sizes and times, so cheap."""
        digest = hashlib.sha256(json.dumps([self.class_name, self.config], sort_keys=True).encode())
        for file, header in zip(self.files, self.headers, strict=True):
            status = file.stat()
            digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}".encode())
            digest.update(header.digest)
        return digest.hexdigest()[:32]

    def module(self) -> nn.Module:
        """The torch module, in eval mode, its parameters mapped from the files in their stored type.

        Nothing is read before it is used. Buffers are real and, where floating-point, float32. Raises
        :class:`ConversionError` when configuration and weights do not fit each other.
        """
        stored = self._tensors()
        module = self._skeleton(len(stored))
        expected = module.state_dict()
        tensors = {_renamed(name, expected): tensor for name, tensor in stored.items()}
        if "shared.weight" in expected:  # T5 stores its table once or twice
            table = tensors.get("shared.weight", tensors.get("encoder.embed_tokens.weight"))
            if table is not None:
                tensors |= {"shared.weight": table, "encoder.embed_tokens.weight": table}
        tensors = {name: _fitting(name, tensor, expected) for name, tensor in tensors.items()}
        self._check(tensors, expected)
        buffers = dict(module.named_buffers())
        module.load_state_dict(
            {name: tensor.float() if name in buffers else tensor for name, tensor in tensors.items()},
            assign=True,
            strict=False,
        )
        if "shared.weight" in expected:
            module.set_input_embeddings(module.shared)  # type: ignore[operator]
        _fill_buffers(module)
        return module.requires_grad_(False).eval()

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for file in self.files:
            for name, tensor in map_tensors(file).items():
                if name in tensors:
                    raise self.error(f"{name} is in two files")
                tensors[name] = tensor
        return tensors

    def _skeleton(self, most: int) -> nn.Module:
        """The module on the meta device; ``most`` weights are there to fill it."""
        if self.class_name not in CLASSES:
            raise self.error(f"a {self.class_name} is not among {', '.join(CLASSES)}")
        kind = getattr(importlib.import_module(CLASSES[self.class_name]), self.class_name)
        try:
            with torch.device("meta"), _at_most(2 * most + 64), _quiet():
                config = _architecture(self.config)
                if _most_layers(config) > most:
                    raise ValueError("it asks for more layers than there are weights")
                if hasattr(kind, "from_config"):
                    module = kind.from_config(config)
                else:
                    module = kind(kind.config_class.from_dict(config))
        except Exception as error:  # whatever a configuration of a stranger makes a constructor do
            why = " ".join(str(error).split())[:200]
            raise self.error(f"its configuration makes no {self.class_name}: {why}") from error
        assert isinstance(module, nn.Module)
        return module

    def _check(self, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        superfluous = re.compile(rf"(.*\.)?position_ids|{_SUPERFLUOUS.get(self.class_name, '(?!)')}")
        problems = [f"{name} is missing" for name in expected if name not in tensors]
        problems += [
            f"{name} has no place"
            for name in tensors
            if name not in expected and not superfluous.fullmatch(name)
        ]
        for name in tensors.keys() & expected.keys():
            found, wanted = tensors[name], expected[name]
            if found.shape != wanted.shape:
                problems.append(f"{name} is {tuple(found.shape)}, not {tuple(wanted.shape)}")
            elif found.dtype not in FLOATS:
                problems.append(f"{name} is {str(found.dtype).removeprefix('torch.')}")
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise self.error(", ".join(problems[:3]) + more)

    def error(self, why: str) -> ConversionError:
        """This component cannot be read."""
        return ConversionError(
            f"the {self.name.replace('_', ' ')} in {self.folder} cannot be read",
            why,
            "give a checkpoint whose weights fit its configuration",
        )


_NOT_ARCHITECTURE = frozenset(
    ("attn_implementation", "_attn_implementation", "auto_map", "dtype", "quantization_config", "torch_dtype")
)
"""Settings that choose types, or even code from elsewhere, for the same network."""


def _architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _architecture(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in _NOT_ARCHITECTURE
    }


def _most_layers(config: Mapping[str, Any]) -> int:
    """The largest number of layers in ``config``: diffusers makes lists of that length."""
    counts = [value for name, value in config.items() if "layers" in name]
    flat = [each for value in counts for each in (value if isinstance(value, list | tuple) else [value])]
    return max((each for each in flat if isinstance(each, int)), default=0)


_OLD_ATTENTION = (
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
)
"""How diffusers called a VAE's attention before 0.17."""


def _renamed(name: str, expected: Mapping[str, Tensor]) -> str:
    """What a stored weight is called today: transformers 5 dropped a prefix, diffusers renamed attention."""
    if name in expected:
        return name
    today = name
    for old, new in _OLD_ATTENTION:
        today = today.replace(old, new)
    for prefix in ("text_model.", "vision_model."):
        for candidate in (today, today.removeprefix(prefix), prefix + today):
            if candidate in expected:
                return candidate
    return name


def _fitting(name: str, tensor: Tensor, expected: Mapping[str, Tensor]) -> Tensor:
    """``tensor`` as (out, in) where it is stored as a 1x1 convolution, as in old VAE attention."""
    if name in expected and expected[name].ndim == 2 and tensor.ndim == 4 and tensor.shape[2:] == (1, 1):
        return tensor[:, :, 0, 0]
    return tensor


def _fill_buffers(module: nn.Module) -> None:
    """Give content to the buffers that no file holds."""
    from diffusers.models.embeddings import get_2d_sincos_pos_embed

    for owner in list(module.modules()):
        for name, buffer in list(owner.named_buffers(recurse=False)):
            if not buffer.is_meta:
                continue
            if name == "position_ids":
                content = torch.arange(buffer.shape[-1]).expand(1, -1)
            elif name == "pos_embed":
                if buffer.numel() > MOST_POSITIONS:
                    raise ConversionError(
                        f"a {type(module).__name__} cannot be read",
                        f"its positions are {tuple(buffer.shape)}",
                        "give a checkpoint whose weights fit its configuration",
                    )
                place: Any = owner
                content = get_2d_sincos_pos_embed(
                    buffer.shape[-1],
                    place.pos_embed_max_size or place.height,
                    base_size=place.base_size,
                    interpolation_scale=place.interpolation_scale,
                    output_type="pt",
                ).float()[None]
            else:
                raise ConversionError(
                    f"a {type(module).__name__} cannot be read",
                    f"nobody knows its buffer {name}",
                    "install the version of diffusers and transformers that sdtui asks for",
                )
            setattr(owner, name, content)


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Fail when more parameters are made: a configuration may ask for a thousand million layers."""
    made = 0

    def count(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        made += parameter is not None
        if made > parameters:
            raise ValueError("it asks for far more weights than there are")

    handle = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries remark about other people's configurations."""
    import logging
    import warnings

    loggers = [logging.getLogger("diffusers"), logging.getLogger("transformers")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
