"""A checkpoint: the networks, tokenizers and scheduler settings of one model, wherever they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sdtui.bundle.manifest import Family
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.source import ConversionError

Progress = Callable[[str, float], None]
"""Told what is being done, and how much of it is (0 to 1)."""


def silent(_stage: str, _fraction: float) -> None:
    """A :data:`Progress` that tells nobody."""


@dataclass(frozen=True)
class Checkpoint:
    """A model as it will be converted. ``folder`` is where it was found, ``name`` what people call it.

    ``tokenizers`` are folders by name (``tokenizer``, ``tokenizer_2``, ``tokenizer_3``); ``warnings``
    say what the source did not have.
    """

    folder: Path
    name: str
    family: Family
    parts: Mapping[str, Component]
    tokenizers: Mapping[str, Path]
    scheduler_config: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the networks that are there."""
        return tuple(self.parts)

    def component(self, name: str) -> Component:
        """One network. Raises :class:`ConversionError` when the checkpoint has none of that name."""
        if name not in self.parts:
            raise ConversionError(
                f"{self.name} has no {name.replace('_', ' ')}",
                f"it has {', '.join(self.parts)}",
                "convert what it has, or give another checkpoint",
            )
        return self.parts[name]

    def tokenizer(self, name: str = "tokenizer") -> Path:
        """A folder with vocab.json and merges.txt (CLIP), or with tokenizer.json or spiece.model (T5)."""
        if name not in self.tokenizers:
            raise ConversionError(
                f"{self.name} has no {name.replace('_', ' ')}",
                f"{self.folder} has no folder {name} with its vocabulary",
                "download it again",
            )
        return self.tokenizers[name]


def family_of(name: str, parts: Mapping[str, Component]) -> Family:
    """Which family a set of networks is. Raises :class:`ConversionError` for one that is not converted."""
    if "transformer" in parts:
        if parts["transformer"].class_name == "SD3Transformer2DModel":
            return "sd3"
        raise unknown_family(name, f"its transformer is a {parts['transformer'].class_name}")
    if "unet" not in parts:
        raise unknown_family(name, "it has neither a UNet nor a transformer")
    unet = parts["unet"]
    if unet.class_name != "UNet2DConditionModel":
        raise unknown_family(name, f"its UNet is a {unet.class_name}")
    match unet.config.get("addition_embed_type"):
        case None:
            return "sd"
        case "text_time":
            return "sdxl" if "text_encoder" in parts or "text_encoder_2" not in parts else "sdxl-refiner"
        case other:
            raise unknown_family(name, f"its UNet is conditioned on {other}")


def unknown_family(name: str, why: str) -> ConversionError:
    """The error for a model of another kind."""
    return ConversionError(
        f"{name} cannot be converted", why, "give a checkpoint of Stable Diffusion 1, 2, XL or 3"
    )


Kind = Literal["controlnet", "vae", "preview_decoder", "unet"]

HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*?)(?:/([\w. -]+\.safetensors))?")
"""``org/name``, or one file of it."""


def open_checkpoint(source: str, workspace: Path, progress: Progress = silent) -> Checkpoint:
    """Find out what ``source`` is (a diffusers folder, a single file, a Hub name) and read it.

    What has to be unpacked or downloaded for that goes into ``workspace`` (or the Hub's own cache),
    whole or not at all, and is found there the next time. Raises :class:`ConversionError`.
    """
    from sdtui.convert.checkpoint.folder import open_folder
    from sdtui.convert.checkpoint.hub import download
    from sdtui.convert.checkpoint.single_file import open_single_file

    path = _local(source) or download(source, progress)
    if path.is_dir():
        return open_folder(path, workspace, progress)
    return open_single_file(path, workspace, progress)


def open_component(source: str, workspace: Path, kind: Kind, progress: Progress = silent) -> Component:
    """One network: of a folder with config.json, a pipeline that has it, a single file, a Hub name.

    Raises :class:`ConversionError`.
    """
    from sdtui.convert.checkpoint.folder import open_component_folder
    from sdtui.convert.checkpoint.hub import download
    from sdtui.convert.checkpoint.single_file import open_component_file

    path = _local(source) or download(source, progress, kind)
    if path.is_dir():
        return open_component_folder(path, workspace, kind, progress)
    return open_component_file(path, workspace, kind, progress)


def _local(source: str) -> Path | None:
    """The file or folder that ``source`` is, or None where it must be a Hub name."""
    path = Path(source).expanduser()
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:
        raise ConversionError(f"{source[:80]!r} cannot be opened", str(error), "give a path") from error
    if HUB_NAME.fullmatch(source):
        return None
    raise ConversionError(
        f"{source} does not exist", "it is no file, no folder and no Hub name", "give one, as in org/name"
    )
