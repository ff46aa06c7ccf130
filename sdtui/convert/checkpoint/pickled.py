"""Pickled checkpoints (.bin, .ckpt, .pt), read without running what is in them."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sdtui.convert.checkpoint.reading import broken
from sdtui.convert.source import ConversionError


def load_pickled(file: Path) -> dict[str, Tensor]:
    """The tensors of ``file`` by name, mapped where its format allows it.

    Only tensors and plain containers are unpickled (torch's ``weights_only``). Raises
    :class:`ConversionError` for a file that asks for anything else.
    """
    content = unpickle(file)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    tensors = {
        name: tensor.detach()
        for name, tensor in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }
    if not tensors:
        raise broken(file, "it holds no tensors by name")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise broken(file, f"{name} is no plain tensor")
    return tensors


def unpickle(file: Path) -> Any:
    """What ``file`` holds: tensors, numbers, text, and containers of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on pickles that it is about to refuse
            try:
                return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            except (RuntimeError, ValueError):  # the format before torch 1.6 cannot be mapped
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConversionError(
            f"{file} is not read",
            "it holds code or objects besides its weights",
            "give a .safetensors file of it",
        ) from error
    except Exception as error:  # a stranger's file makes torch fail in many ways
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise broken(file, f"it is no whole torch file ({why})") from error
