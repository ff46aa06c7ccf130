"""Constants as they are stored: packed bytes, and the blobs of a ``weight.bin``.

``weight.bin`` is little-endian: a 64-byte header, then for each blob 64 bytes of metadata
(sentinel u32, dtype u32, size u64, data offset u64) at the offset that the program names.
"""

from __future__ import annotations

import mmap
import struct
from math import prod
from pathlib import Path

import numpy as np

from sdtui.runtime.portable.program import NUMPY_DTYPES, SUB_BYTE_BITS, Array
from sdtui.runtime.portable.wire import MalformedError

_METADATA = struct.Struct("<IIQQ")
_METADATA_BYTES = 64
_SENTINEL = 0xDEADBEEF
_RELEASED_AFTER = 1 << 28
_PRIVATE = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
BLOB_DTYPES = {
    1: "fp16",
    2: "fp32",
    3: "uint8",
    4: "int8",
    5: "bf16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}


def stored_bytes(dtype: str, count: int) -> int:
    """How many bytes ``count`` elements take in a file. Raises MalformedError for an unknown type."""
    if dtype in SUB_BYTE_BITS:
        return -(-count * SUB_BYTE_BITS[dtype] // 8)
    if dtype == "bf16":
        return 2 * count
    if dtype in NUMPY_DTYPES:
        return NUMPY_DTYPES[dtype].itemsize * count
    raise MalformedError(f"its weights of type {dtype} cannot be read")


def from_bytes(raw: Array, dtype: str, shape: tuple[int, ...]) -> Array:
    """Stored bytes (uint8) as an array; a view where numpy has the type.

    Raises MalformedError when there are not exactly as many bytes as the shape needs.
    """
    count = prod(shape)
    if raw.size != stored_bytes(dtype, count):
        raise MalformedError(f"a constant of {count} {dtype} has {raw.size} bytes")
    if dtype in SUB_BYTE_BITS:
        values = unpack(raw, SUB_BYTE_BITS[dtype], count)
        return (_sign_extended(values) if dtype == "int4" else values).reshape(shape)
    if dtype == "bf16":
        return (raw.view("<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    return raw.view(NUMPY_DTYPES[dtype]).reshape(shape)


def unpack(raw: Array, bits: int, count: int) -> Array:
    """The first ``count`` unsigned ``bits``-wide integers of ``raw``, least significant bit first."""
    if bits == 8:
        return raw[:count]
    if bits in (1, 2, 4):
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        return ((raw[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count]
    stream = np.unpackbits(raw, bitorder="little")[: count * bits].reshape(count, bits)
    return np.packbits(stream, axis=1, bitorder="little")[:, 0]


def _sign_extended(values: Array) -> Array:
    return (values.astype(np.int8) ^ 8) - np.int8(8)


class WeightFile:
    """A ``weight.bin``, mapped into memory and read where a blob is asked for."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._mapped: mmap.mmap | None = None
        self._bytes: Array = np.empty(0, np.uint8)
        self._unreleased = 0
        if path.stat().st_size:
            with path.open("rb") as stream:
                # Nobody writes, but OpenVINO shares only memory that could be written.
                self._mapped = mmap.mmap(
                    stream.fileno(), 0, flags=_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
                )
            self._bytes = np.frombuffer(self._mapped, np.uint8)

    def read(self, offset: int, dtype: str, shape: tuple[int, ...]) -> Array:
        """The blob whose metadata begins at ``offset``; a view of the file where possible.

        Raises MalformedError when the file has no such blob there.
        """
        if offset + _METADATA_BYTES > self._bytes.size:
            raise MalformedError(
                f"{self._name} has {self._bytes.size} bytes, too few for a blob at byte {offset}"
            )
        metadata = self._bytes[offset : offset + _METADATA.size].tobytes()
        sentinel, code, size, start = _METADATA.unpack(metadata)
        if sentinel != _SENTINEL:
            raise MalformedError(f"{self._name} has no blob at byte {offset}")
        if BLOB_DTYPES.get(code) != dtype:
            stored = BLOB_DTYPES.get(code, f"type {code}")
            raise MalformedError(f"{self._name} holds {stored} at byte {offset}, not {dtype}")
        if start + size > self._bytes.size:
            raise MalformedError(f"{self._name} ends at byte {self._bytes.size}, inside a blob")
        self._unreleased += size
        if self._unreleased > _RELEASED_AFTER:
            self.release()
        return from_bytes(self._bytes[start : start + size], dtype, shape)

    def release(self) -> None:
        """Give back the pages of blobs read before; who still looks at one reads it anew."""
        if self._mapped is not None:
            self._mapped.madvise(mmap.MADV_DONTNEED)
        self._unreleased = 0
