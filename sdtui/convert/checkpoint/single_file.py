"""Single files in the layout of the original Stable Diffusion, unpacked into diffusers folders."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from sdtui.bundle.clip import write_clip_tokenizer
from sdtui.convert.checkpoint import layouts
from sdtui.convert.checkpoint.checkpoint import Checkpoint, Kind, Progress, silent
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.checkpoint.deferred import defer
from sdtui.convert.checkpoint.folder import CLASS_NAMES, open_folder, read_component
from sdtui.convert.checkpoint.layouts import Network
from sdtui.convert.checkpoint.pickled import load_pickled
from sdtui.convert.checkpoint.prediction import predicts_noise
from sdtui.convert.checkpoint.reading import broken, read_json, regular_file
from sdtui.convert.checkpoint.safetensors_file import deferred_tensors, write_tensors
from sdtui.convert.checkpoint.workspace import unpacked
from sdtui.convert.source import ConversionError

SAFE = (".safetensors", ".sft")
PICKLED = (".ckpt", ".pt", ".pth", ".bin")

T = TypeVar("T")


def open_single_file(file: Path, workspace: Path, progress: Progress) -> Checkpoint:
    """Unpack ``file`` into ``workspace`` and read it from there. Raises :class:`ConversionError`."""
    tensors = _tensors(file)
    layout = _recognised(file, lambda: layouts.checkpoint(tensors))

    def unpack(folder: Path) -> None:
        total = sum(network.bytes for network in layout.networks.values())
        done = 0
        index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline"}
        for name, network in layout.networks.items():
            progress(f"unpacking {name.replace('_', ' ')}", done / total)
            _write_network(folder / name, network)
            index[name] = [network.library, network.class_name]
            done += network.bytes
        for name, padding in layout.paddings.items():
            _write_tokenizer(folder / name, padding)
        scheduler = dict(layout.scheduler)
        if layout.ambiguous and not _predicts_noise(folder, workspace):
            scheduler["prediction_type"] = "v_prediction"
            larger = {**layout.networks["unet"].config, "sample_size": 96, "upcast_attention": True}
            _write_json(folder / "unet" / "config.json", larger)
        (folder / "scheduler").mkdir()
        _write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
        _write_json(folder / "model_index.json", index)

    folder = unpacked(workspace, f"{file.stem}-{_fingerprint(file)}", unpack)
    opened = open_folder(folder, workspace, progress)
    return dataclasses.replace(opened, name=file.stem, warnings=layout.warnings)


def open_component_file(file: Path, workspace: Path, kind: Kind, progress: Progress) -> Component:
    """The network ``kind`` of ``file``, which may hold more. Raises :class:`ConversionError`.

    A file in diffusers' layout is read as it is when its config.json lies beside it. The scaling factor
    of a VAE that comes alone is nowhere in it, nor in its ``config``: it is that of the checkpoint's own.
    """
    if file.suffix in SAFE and regular_file(file.with_name("config.json"), file.parent):
        config = read_json(file.with_name("config.json"))
        if config.get("_class_name") == CLASS_NAMES[kind]:
            return Component(kind, CLASS_NAMES[kind], file.parent, config, (file,))
    tensors = _tensors(file)
    network = _recognised(file, lambda: layouts.component(tensors, kind))
    progress(f"unpacking {kind}", 0)
    name = f"{kind}-{file.stem}-{_fingerprint(file)}"
    folder = unpacked(workspace, name, lambda unfinished: _write_network(unfinished / kind, network))
    return read_component(folder, kind, workspace, progress)


def _tensors(file: Path) -> dict[str, Tensor]:
    """What ``file`` holds, deferred. Kinds of numbers that nobody computes in are widened."""
    if file.suffix in SAFE:
        stored = deferred_tensors(file)
    elif file.suffix in PICKLED:
        stored = {
            name: defer(tensor.shape, tensor.dtype, lambda tensor=tensor: tensor)  # type: ignore[misc]
            for name, tensor in load_pickled(file).items()
        }
    else:
        raise broken(
            file, f"{file.suffix or 'a name without ending'} is no checkpoint", "give a .safetensors file"
        )
    wider = {
        torch.float64: torch.float32,
        torch.float8_e4m3fn: torch.float16,
        torch.float8_e5m2: torch.float16,
    }
    return {
        name: tensor.to(wider[tensor.dtype]) if tensor.dtype in wider else tensor
        for name, tensor in stored.items()
    }


def _recognised(file: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except ConversionError as error:
        raise ConversionError(f"{file} cannot be converted", error.why, error.remedy) from error
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        # diffusers' functions take names and shapes for granted
        raise broken(
            file,
            "its tensors are laid out as in no Stable Diffusion checkpoint",
            "give a checkpoint of Stable Diffusion 1, 2, XL or 3",
        ) from error


def _predicts_noise(folder: Path, workspace: Path) -> bool:
    return predicts_noise(read_component(folder, "unet", workspace, silent).module())


def _write_network(folder: Path, network: Network) -> None:
    folder.mkdir()
    _write_json(folder / "config.json", network.config)
    stem = "diffusion_pytorch_model" if network.library == "diffusers" else "model"
    write_tensors(folder / f"{stem}.safetensors", network.tensors)


def _write_tokenizer(folder: Path, padding: str) -> None:
    folder.mkdir()
    write_clip_tokenizer(folder)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": padding,
            "model_max_length": 77,
        },
    )


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _fingerprint(file: Path) -> str:
    status = file.stat()
    text = f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
