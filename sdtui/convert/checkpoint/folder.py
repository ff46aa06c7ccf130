"""Diffusers folders: model_index.json, and a folder for each network with config.json and weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdtui.convert.checkpoint.checkpoint import Checkpoint, Kind, Progress, family_of, unknown_family
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.checkpoint.pickled import load_pickled
from sdtui.convert.checkpoint.reading import broken, read_json, regular_file
from sdtui.convert.checkpoint.safetensors_file import write_tensors
from sdtui.convert.checkpoint.weights import find_weights
from sdtui.convert.checkpoint.workspace import unpacked
from sdtui.convert.source import ConversionError

COMPONENTS = (
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "unet",
    "transformer",
    "vae",
    "safety_checker",
    "controlnet",
)
TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
TOKENIZER_FILES = (("vocab.json", "merges.txt"), ("tokenizer.json",), ("spiece.model",))
"""Any of these sets makes a tokenizer."""

CLASS_NAMES: Mapping[Kind, str] = {
    "controlnet": "ControlNetModel",
    "vae": "AutoencoderKL",
    "preview_decoder": "AutoencoderTiny",
    "unet": "UNet2DConditionModel",
}


def open_folder(folder: Path, workspace: Path, progress: Progress) -> Checkpoint:
    """Read the pipeline in ``folder``. Raises :class:`ConversionError`."""
    index_file = regular_file(folder / "model_index.json", folder)
    if index_file is None:
        raise ConversionError(
            f"{folder} is no checkpoint",
            "it has no model_index.json",
            "give a diffusers folder, or a single .safetensors file",
        )
    index = read_json(index_file)
    named = {name: _class_name(index, name) for name in COMPONENTS}
    named = {name: class_name for name, class_name in named.items() if class_name is not None}
    missing = [name for name in named if not (folder / name).exists()]  # people delete what they do not use
    parts = {
        name: read_component(folder, name, workspace, progress, class_name=class_name)
        for name, class_name in named.items()
        if name not in missing
    }
    scheduler = regular_file(folder / "scheduler" / "scheduler_config.json", folder)
    if scheduler is None:
        raise broken(folder, "it has no scheduler/scheduler_config.json")
    return Checkpoint(
        folder=folder,
        name=_name(folder),
        family=family_of(str(folder), parts),
        parts=parts,
        tokenizers={name: folder / name for name in TOKENIZERS if _is_tokenizer(folder / name, folder)},
        scheduler_config=read_json(scheduler),
        warnings=tuple(f"the {name.replace('_', ' ')} is not in its folder" for name in missing),
    )


def open_component_folder(folder: Path, workspace: Path, kind: Kind, progress: Progress) -> Component:
    """Read the network ``kind`` that ``folder`` is, or has. Raises :class:`ConversionError`."""
    if regular_file(folder / "model_index.json", folder) is None:
        component = read_component(folder, "", workspace, progress, kind=kind)
    else:
        component = read_component(folder, kind, workspace, progress)
    if component.class_name != CLASS_NAMES[kind]:
        raise unknown_family(
            str(folder), f"it is a {component.class_name}, where a {CLASS_NAMES[kind]} is wanted"
        )
    return component


def read_component(
    root: Path,
    name: str,
    workspace: Path,
    progress: Progress,
    *,
    kind: str = "",
    class_name: str | None = None,
) -> Component:
    """The network in the folder ``name`` of ``root`` (or in ``root`` itself), of the class it says it is."""
    folder = root / name
    config_file = regular_file(folder / "config.json", root)
    if config_file is None:
        raise ConversionError(
            f"{root} cannot be read", f"it has no {name and name + '/'}config.json", "download it again"
        )
    config = read_json(config_file)
    if class_name is None:
        declared = [config.get("_class_name"), *_list(config.get("architectures"))]
        class_name = next((each for each in declared if isinstance(each, str)), "network without a class")
    files = find_weights(folder, root)
    if not files:
        raise ConversionError(f"{folder} cannot be read", "it has no weights", "download it again")
    if files[0].suffix != ".safetensors":
        folder, files = _converted(files, config, name or kind, workspace, progress)
    return Component(name=name or kind, class_name=class_name, folder=folder, config=config, files=files)


def _converted(
    pickled: tuple[Path, ...], config: Mapping[str, Any], name: str, workspace: Path, progress: Progress
) -> tuple[Path, tuple[Path, ...]]:
    """The pickled files of a network as safetensors, in a folder of ``workspace``."""
    digest = hashlib.sha256()
    for file in pickled:
        status = file.stat()
        digest.update(f"{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode())

    def unpack(unfinished: Path) -> None:
        (unfinished / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        for index, file in enumerate(pickled):
            progress(f"reading {name}", index / len(pickled))
            write_tensors(unfinished / f"{file.stem}.safetensors", load_pickled(file))

    folder = unpacked(workspace, f"{name}-{digest.hexdigest()[:16]}", unpack)
    return folder, tuple(folder / f"{file.stem}.safetensors" for file in pickled)


def _class_name(index: Mapping[str, Any], name: str) -> str | None:
    """What model_index.json calls the class of a network: ``[library, class]``, nulls where it has none."""
    declared = _list(index.get(name))
    return declared[1] if len(declared) == 2 and isinstance(declared[1], str) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_tokenizer(folder: Path, root: Path) -> bool:
    for settings in ("tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
        regular_file(folder / settings, root)
    return any(all(regular_file(folder / file, root) for file in files) for files in TOKENIZER_FILES)


def _name(folder: Path) -> str:
    """What a person calls it: the Hub's name where the folder is in the Hub's cache."""
    resolved = folder.resolve()
    if resolved.parent.name == "snapshots" and resolved.parent.parent.name.startswith("models--"):
        return resolved.parent.parent.name.removeprefix("models--").replace("--", "/")
    return resolved.name
