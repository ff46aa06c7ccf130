"""LoRAs and textual inversions made part of a checkpoint, before it is converted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sdtui.bundle.bundle import MERGES_FILE, VOCABULARY_FILE
from sdtui.bundle.manifest import Adapter
from sdtui.conversion import Fused
from sdtui.convert.checkpoint.checkpoint import Checkpoint, Progress, silent
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.checkpoint.deferred import defer, materialise
from sdtui.convert.checkpoint.embeddings import ENCODERS, Embedding, read_embedding, read_vectors
from sdtui.convert.checkpoint.lora import Factors, FoundFactors, read_lora, read_modules
from sdtui.convert.checkpoint.reading import broken, read_json
from sdtui.convert.checkpoint.safetensors_file import deferred_tensors, write_tensors
from sdtui.convert.checkpoint.workspace import unpacked
from sdtui.convert.source import ConversionError
from sdtui.convert.words import clip_words
from sdtui.files import reason

ADDED_TOKENS = "added_tokens.json"
"""Where a tokenizer's folder lists words that are not in its vocabulary: ``{word: id}``."""

TABLE = "token_embedding.weight"
"""How the name of the table of words ends."""


def refuse_broken(loras: Sequence[Fused], embeddings: Sequence[str]) -> None:
    """Raise :class:`ConversionError` for files that no checkpoint can take, before one is unpacked."""
    for lora in loras:
        read_modules(_existing(lora.path))
    for path in embeddings:
        read_vectors(_existing(path))


def fuse(
    checkpoint: Checkpoint,
    loras: Sequence[Fused],
    embeddings: Sequence[str],
    workspace: Path,
    progress: Progress = silent,
) -> tuple[Checkpoint, list[Adapter]]:
    """``checkpoint`` with LoRAs added to its weights, and words to its vocabulary.

    weight + sum of strength x alpha / rank x up @ down, in float32, is stored in the type that the
    weight had. Only the components that change are written, to ``workspace``, one tensor at a time.
    Raises :class:`ConversionError`.
    """
    if not loras and not embeddings:
        return checkpoint, []
    found = [(read_lora(_existing(lora.path), checkpoint), lora.weight) for lora in loras]
    words = [read_embedding(_existing(path), _widths(checkpoint)) for path in embeddings]
    adapters = [
        Adapter(kind="lora", name=Path(lora.path).stem, sha256=_sha256(Path(lora.path)), weight=lora.weight)
        for lora in loras
    ] + [
        Adapter(
            kind="textual_inversion",
            name=Path(path).stem,
            sha256=_sha256(Path(path)),
            tokens=word.tokens,
        )
        for path, word in zip(embeddings, words, strict=True)
    ]
    parts = {}
    for index, (name, component) in enumerate(checkpoint.parts.items()):
        progress(f"fusing {name.replace('_', ' ')}", index / len(checkpoint.parts))
        parts[name] = _fused(component, found, words, adapters, checkpoint, workspace)
    tokenizers = dict(checkpoint.tokenizers)
    for encoder in _widths(checkpoint) if words else ():
        tokenizer = encoder.replace("text_encoder", "tokenizer")
        tokenizers[tokenizer] = parts[encoder].folder / "tokenizer"
    return dataclasses.replace(checkpoint, parts=parts, tokenizers=tokenizers), adapters


def _fused(
    component: Component,
    loras: Sequence[tuple[FoundFactors, float]],
    words: Sequence[Embedding],
    adapters: Sequence[Adapter],
    checkpoint: Checkpoint,
    workspace: Path,
) -> Component:
    """``component`` itself where nothing changes it, else its changed copy."""
    changes: dict[str, list[tuple[Factors, float]]] = {}
    for found, strength in loras:
        for name, factors in found.get(component.name, {}).items():
            changes.setdefault(name, []).append((factors, strength))
    words = [word for word in words if component.name in word.vectors]
    if not changes and not words:
        return component
    tensors = {name: tensor for file in component.files for name, tensor in deferred_tensors(file).items()}
    for name, added in changes.items():
        tensors[name] = _replaced(tensors[name], partial(_sum, tensors[name], added, component, name))
    config: dict[str, Any] = dict(component.config)
    ids: dict[str, int] = {}
    if words:
        tokenizer = checkpoint.tokenizer(component.name.replace("text_encoder", "tokenizer"))
        ids = _numbered(tokenizer, words, tensors)
        _extend(tensors, [word.vectors[component.name] for word in words])
        config |= _counting(config, len(ids), tokenizer)

    def write(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        write_tensors(folder / "model.safetensors", tensors)
        if words:
            _write_tokenizer(folder / "tokenizer", tokenizer, ids)

    key = json.dumps([component.fingerprint(), *([each.sha256, each.weight] for each in adapters)])
    name = f"fused-{component.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = unpacked(workspace, name, write)
    return dataclasses.replace(component, folder=folder, config=config, files=(folder / "model.safetensors",))


def _replaced(tensor: Tensor, compute: Callable[[], Tensor]) -> Tensor:
    return defer(tensor.shape, tensor.dtype, compute)


def _sum(weight: Tensor, added: Sequence[tuple[Factors, float]], component: Component, name: str) -> Tensor:
    total = materialise(weight).to(torch.float32, copy=True)
    for factors, strength in added:
        factors.add_to(total, strength)
    fused = total.to(weight.dtype)
    if not bool(fused.isfinite().all()):
        raise component.error(f"with the LoRA {name} is no longer finite")
    return fused


def _extend(tensors: dict[str, Tensor], vectors: Sequence[Tensor]) -> None:
    """Append ``vectors`` to the table of words."""
    name = _table(tensors)
    table = tensors[name]
    added = torch.cat(list(vectors)).to(table.dtype)
    tensors[name] = defer(
        (table.shape[0] + added.shape[0], table.shape[1]),
        table.dtype,
        lambda: torch.cat((materialise(table), added)),
    )


def _table(tensors: Mapping[str, Tensor]) -> str:
    return next(name for name in tensors if name.endswith(TABLE))


def _numbered(folder: Path, words: Sequence[Embedding], tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The ids of all tokens of ``words``, which follow the table's rows."""
    taken = set(json.loads(clip_words(folder).vocabulary)) | set(_added(folder))
    first = tensors[_table(tensors)].shape[0]
    ids: dict[str, int] = {}
    for token in (token for word in words for token in word.tokens):
        if token in taken or token in ids:
            raise ConversionError(
                f"the word {token} cannot be added", "the vocabulary has it already", "rename its file"
            )
        ids[token] = first + len(ids)
    return ids


def _added(folder: Path) -> dict[str, Any]:
    return read_json(folder / ADDED_TOKENS) if (folder / ADDED_TOKENS).exists() else {}


def _counting(config: Mapping[str, Any], added: int, tokenizer: Path) -> dict[str, Any]:
    """The settings that depend on the size of the vocabulary.

    Old files give 2 as the end of text, and transformers then takes the token with the highest id for
    it; that would now be a word of ours.
    """
    legacy = {"eos_token_id": clip_words(tokenizer).eos} if config.get("eos_token_id", 2) == 2 else {}
    return {"vocab_size": config.get("vocab_size", 49408) + added, **legacy}


def _write_tokenizer(folder: Path, original: Path, ids: Mapping[str, int]) -> None:
    folder.mkdir()
    words = clip_words(original)
    (folder / VOCABULARY_FILE).write_text(words.vocabulary, encoding="utf-8")
    (folder / MERGES_FILE).write_text(words.merges, encoding="utf-8")
    if (original / "tokenizer_config.json").exists():
        shutil.copyfile(original / "tokenizer_config.json", folder / "tokenizer_config.json")
    added = {**_added(original), **ids}
    (folder / ADDED_TOKENS).write_text(json.dumps(added, indent=2) + "\n", encoding="utf-8")


def _widths(checkpoint: Checkpoint) -> dict[str, int]:
    """The channels of each CLIP text encoder, by name."""
    return {
        name: int(checkpoint.component(name).config.get("hidden_size", 512))
        for name in ENCODERS.values()
        if name in checkpoint.parts
    }


def _existing(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConversionError(f"{path} cannot be fused", "it is no file", "give a .safetensors file")
    return file


def _sha256(file: Path) -> str:
    try:
        with file.expanduser().open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise broken(file, reason(error)) from error
