"""Small unsigned integers side by side in bytes, the first one in the lowest bits."""

from __future__ import annotations

import numpy as np

from sdtui.convert.encoding.encoded import Array

_BLOCK = 1 << 18


def packed_bytes(count: int, bits: int) -> int:
    """How many bytes ``count`` integers of ``bits`` bits take."""
    return -(-count * bits // 8)


def pack(codes: Array, bits: int) -> Array:
    """``codes`` (uint8, any shape, each below 2**bits) as a vector of bytes; what is left over is 0."""
    flat = codes.reshape(-1)
    if bits == 8:
        return np.ascontiguousarray(flat)
    packed = np.empty(packed_bytes(flat.size, bits), np.uint8)
    for start in range(0, flat.size, _BLOCK):
        block = _pack(flat[start : start + _BLOCK], bits)
        packed[start * bits // 8 :][: block.size] = block
    return packed


def _pack(codes: Array, bits: int) -> Array:
    """Eight codes fill ``bits`` bytes: they are joined in one integer, whose bytes are those."""
    rows = -(-codes.size // 8)
    padded = np.zeros((rows, 8), np.uint64)
    padded.reshape(-1)[: codes.size] = codes
    joined = np.bitwise_or.reduce(padded << (np.arange(8, dtype=np.uint64) * np.uint64(bits)), axis=1)
    octets = joined.astype("<u8", copy=False).view(np.uint8).reshape(rows, 8)[:, :bits]
    return np.asarray(octets.reshape(-1)[: packed_bytes(codes.size, bits)])
