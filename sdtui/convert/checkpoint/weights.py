"""Which files hold a component's weights."""

from __future__ import annotations

from pathlib import Path

from sdtui.convert.checkpoint.reading import broken, read_json, regular_file
from sdtui.convert.source import ConversionError

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
"""How diffusers and transformers call weights (the last one pickled)."""

VARIANTS = ("", ".fp16", ".bf16", ".fp32")
"""Stored precisions, as ``<stem>.fp16.safetensors``: the plain name is the most precise there is."""


def find_weights(folder: Path, root: Path) -> tuple[Path, ...]:
    """The safetensors files of the component in ``folder``, else its pickled ones, else none.

    A file is found as it is, as a variant, or in shards that an index lists. Raises
    :class:`ConversionError` for a missing shard, and for what :func:`regular_file` refuses.
    """
    for ending in (".safetensors", ".bin"):
        for variant in VARIANTS:
            for stem in STEMS:
                file = regular_file(folder / f"{stem}{variant}{ending}", root)
                if file is not None:
                    return (file,)
                shards = _shards(folder, f"{stem}{variant}{ending}", root)
                if shards:
                    return shards
    return ()


def _shards(folder: Path, name: str, root: Path) -> tuple[Path, ...]:
    """``model.fp16.safetensors`` has the index ``model.safetensors.index.fp16.json`` (or, older, not)."""
    stem, *variant, ending = name.split(".")
    names = [f"{stem}.{ending}.index.{variant[0]}.json"] if variant else []
    for candidate in (*names, f"{name}.index.json"):
        index = regular_file(folder / candidate, root)
        if index is None:
            continue
        listed = read_json(index).get("weight_map")
        if not isinstance(listed, dict) or not listed:
            raise broken(index, "it lists no weights")
        return tuple(_shard(folder, shard, root) for shard in sorted({str(name) for name in listed.values()}))
    return ()


def _shard(folder: Path, name: str, root: Path) -> Path:
    if Path(name).name != name or not name.endswith((".safetensors", ".bin")):
        raise ConversionError(f"{folder} cannot be read", f"its index names {name!r}", "download it again")
    file = regular_file(folder / name, root)
    if file is None:
        raise ConversionError(f"{folder} cannot be read", f"{name} is missing", "download it again")
    return file
