"""safetensors files: read without trust and without memory, written one tensor at a time.

The format (https://github.com/huggingface/safetensors): 8 bytes with the header's length, a JSON
header ``{name: {dtype, shape, data_offsets}}``, then the tensors, with no gap and no overlap.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from sdtui.convert.checkpoint.deferred import defer, materialise
from sdtui.convert.checkpoint.reading import broken
from sdtui.files import reason

HEADER_LIMIT = 100_000_000
"""Bytes; the format's own."""

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_MAPPED: WeakSet[mmap.mmap] = WeakSet()


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies: ``start`` and ``end`` are bytes from the beginning of the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a file says it holds, checked: every tensor lies in the file, and only there."""

    tensors: Mapping[str, Stored]
    metadata: Mapping[str, str]
    digest: bytes
    """The header as it is written, for fingerprints."""


def read_header(file: Path) -> Header:
    """Read and check the header of ``file``. Raises :class:`ConversionError`."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, HEADER_LIMIT):
                raise broken(file, "it is cut off, or no safetensors file")
            text = stream.read(length)
    except OSError as error:
        raise broken(file, reason(error)) from error
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise broken(file, "its header is not JSON, or names a tensor twice") from error
    if not isinstance(content, dict):
        raise broken(file, "its header is not a JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise broken(file, "its header has metadata that are no text")
    try:
        tensors = {name: _stored(entry, 8 + length) for name, entry in content.items()}
    except ValueError as error:
        raise broken(file, f"its header {error}") from error
    end = 8 + length
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != end:
            raise broken(file, "its header has tensors that overlap, or leave gaps")
        end = tensor.end
    if end != size:
        raise broken(file, f"it has {size} bytes and its header speaks of {end}")
    return Header(tensors, metadata, text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _stored(entry: Any, begin: int) -> Stored:
    """One entry of the header; ``begin`` is where the tensors begin. Raises ValueError."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError("has an entry that is no tensor")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise ValueError(f"has a type that is not known: {str(entry['dtype'])[:20]}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise ValueError("has a shape or an offset that is no list of natural numbers")
    start, end = offsets
    if end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("has a shape that its bytes do not fill")
    return Stored(dtype, tuple(shape), begin + start, begin + end)


def _naturals(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 32
        and all(type(number) is int and 0 <= number < 1 << 48 for number in value)
    )


def map_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of ``file``, mapped: a page comes from disk when it is first read, none stays.

    What is written to them goes to private memory, never to the file.
    """
    header = read_header(file)
    try:
        with file.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise broken(file, str(error)) from error
    _MAPPED.add(mapped)
    return {
        name: (
            torch.frombuffer(mapped, dtype=tensor.dtype, count=tensor.count, offset=tensor.start)
            if tensor.count
            else torch.empty(0, dtype=tensor.dtype)
        ).reshape(tensor.shape)
        for name, tensor in header.tensors.items()
    }


def release_pages() -> None:
    """Give back the memory of what was read of mapped tensors; whoever looks again reads it anew.

    What was written to a mapped tensor is lost: nothing here does that.
    """
    for mapped in list(_MAPPED):
        mapped.madvise(mmap.MADV_DONTNEED)


def deferred_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of ``file``, each read when it is computed, and then not kept."""
    return {
        name: defer(tensor.shape, tensor.dtype, partial(_read, file, tensor))
        for name, tensor in read_header(file).tensors.items()
    }


def _read(file: Path, tensor: Stored) -> Tensor:
    with file.open("rb") as stream:
        stream.seek(tensor.start)
        content = bytearray(tensor.end - tensor.start)
        if stream.readinto(content) != len(content):
            raise broken(file, "it became shorter while it was read")
    if not content:
        return torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.frombuffer(content, dtype=tensor.dtype).reshape(tensor.shape)


def write_tensors(
    file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write ``tensors`` to the new ``file``; deferred ones are computed one at a time. Raises OSError."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * tensor.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("xb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for tensor in tensors.values():
            content = materialise(tensor).contiguous()
            if content.numel():
                stream.write(content.reshape(-1).view(torch.uint8).numpy().data)
