"""The kinds of storage, as values: each knows how it encodes a weight, what that takes, and its key.

The forms are those of coremltools, bit for bit where it is exact itself (see ``tests/convert``).
Before macOS15 a palette is one table for the whole weight, with packed indices; from macOS15 on each
group of output channels may have its own, and integers may be scaled in blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from sdtui.conversion import Target
from sdtui.convert.encoding.clusters import cluster
from sdtui.convert.encoding.encoded import DTYPES, Array, Blob, Encoded, FloatType
from sdtui.convert.encoding.packing import pack, packed_bytes

WEIGHT_THRESHOLD = 2048
"""Weights of no more elements than this stay as they are: they save nothing."""

PaletteBits = Literal[1, 2, 3, 4, 6, 8]


class EncodingError(ValueError):
    """An encoding does not exist, or a target cannot hold it."""


@dataclass(frozen=True)
class Dense:
    """Every number as it is, rounded to ``dtype``."""

    dtype: FloatType = "fp16"

    @property
    def key(self) -> str:
        return f"dense-{self.dtype}"

    def nbytes(self, shape: tuple[int, ...]) -> int:
        return prod(shape) * DTYPES[self.dtype].itemsize

    def encode(self, weight: Array, target: Target, channel_axis: int = 0) -> Encoded:  # noqa: ARG002
        array = weight.astype(DTYPES[self.dtype], copy=False)
        return Encoded("const", {"val": Blob.of(array)}, self.dtype, weight.shape)


@dataclass(frozen=True)
class Palette:
    """2**nbits values, and which of them each element is.

    ``group_size`` output channels share a table, all of them where it is None; where it does not
    divide them, the largest smaller number that does takes its place.
    """

    nbits: PaletteBits
    group_size: int | None = None

    def __post_init__(self) -> None:
        if self.nbits not in (1, 2, 3, 4, 6, 8):
            raise EncodingError(f"there are no palettes of {self.nbits} bits")

    @property
    def key(self) -> str:
        return f"palette-{self.nbits}" + (f"-g{self.group_size}" if self.group_size else "")

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """What a float16 weight of ``shape`` takes, its output channels first."""
        return packed_bytes(prod(shape), self.nbits) + self._groups(shape[0]) * 2 * 2**self.nbits

    def encode(self, weight: Array, target: Target, channel_axis: int = 0) -> Encoded:
        """The palette with the least squared error.

        Raises :class:`EncodingError` where the target lacks it, ValueError for a weight that is not
        finite.
        """
        if target != "macOS15" and (self.nbits == 3 or self.group_size is not None):
            raise EncodingError(f"{target} cannot hold {self.key}")
        axis = channel_axis % weight.ndim
        groups = self._groups(weight.shape[axis])
        table = np.zeros((groups, 2**self.nbits), weight.dtype)
        indices = np.empty(weight.shape, np.uint8)
        for group, (part, place) in enumerate(
            zip(np.split(weight, groups, axis), np.split(indices, groups, axis), strict=True)
        ):
            palette = cluster(part, 2**self.nbits)
            table[group, : palette.centroids.size] = palette.centroids
            place[...] = palette.indices(part)
        packed = pack(indices, self.nbits)
        if target == "macOS15":
            blocks = [1] * weight.ndim
            blocks[axis] = groups
            blobs = {
                "indices": Blob(packed, f"uint{self.nbits}", weight.shape),
                "lut": Blob.of(table.reshape(*blocks, 2**self.nbits, 1)),
            }
        else:
            blobs = {
                "indices": Blob.of(packed),
                "lut": Blob.of(table.reshape(-1)),
                "shape": Blob.of(np.array(weight.shape, np.uint32)),
            }
        return Encoded("constexpr_lut_to_dense", blobs, _float_type(weight), weight.shape)

    def _groups(self, channels: int) -> int:
        return channels // _divisor(channels, self.group_size or channels)


@dataclass(frozen=True)
class Linear:
    """Integers times a scale, symmetric around zero.

    8 bits have a scale for each output channel, 4 bits (macOS15) one for each ``block_size`` input
    channels of each output channel; where that does not divide them, the largest smaller divisor.
    """

    nbits: Literal[4, 8] = 8
    block_size: int = 32

    def __post_init__(self) -> None:
        if self.nbits not in (4, 8) or self.block_size < 1:
            raise EncodingError(f"there are no linear weights of {self.nbits} bits")

    @property
    def key(self) -> str:
        return f"linear-{self.nbits}" + (f"-b{self.block_size}" if self.nbits == 4 else "")

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """What a float16 weight of ``shape`` takes, its output channels first."""
        return packed_bytes(prod(shape), self.nbits) + 2 * shape[0] * self._blocks(shape[1])

    def encode(self, weight: Array, target: Target, channel_axis: int = 0) -> Encoded:
        """Rounded to nearest. Raises :class:`EncodingError` where the target lacks it."""
        if self.nbits == 4 and target != "macOS15":
            raise EncodingError(f"{target} cannot hold {self.key}")
        axis = channel_axis % weight.ndim
        inner = 1 if axis == 0 else 0
        blocks = self._blocks(weight.shape[inner])
        blocked = weight.reshape(*weight.shape[:inner], blocks, -1, *weight.shape[inner + 1 :])
        scaled = {inner, axis if axis < inner else axis + 1}
        others = tuple(place for place in range(blocked.ndim) if place not in scaled)
        limit = 2 ** (self.nbits - 1) - 1
        # In float32, where twice the largest float16 is not yet infinite.
        largest = np.abs(blocked).max(axis=others, keepdims=True).astype(np.float32)
        scale = (2 * largest / (2 * limit)).astype(weight.dtype)
        scale[scale == 0] = 1
        integers = np.clip(np.round(blocked / scale), -limit, limit).astype(np.int8)
        return self._encoded(
            integers.reshape(weight.shape), scale.squeeze(inner + 1), target, axis, _float_type(weight)
        )

    def _encoded(self, integers: Array, scale: Array, target: Target, axis: int, dtype: FloatType) -> Encoded:
        if target == "macOS15":
            data = Blob.of(integers)
            if self.nbits == 4:
                data = Blob(pack(integers.view(np.uint8) & 15, 4), "int4", integers.shape)
            blobs = {"data": data, "scale": Blob.of(scale)}
            return Encoded("constexpr_blockwise_shift_scale", blobs, dtype, integers.shape)
        scale = scale.squeeze()
        blobs = {
            "quantized_data": Blob.of(integers),
            "zero_point": Blob.of(np.zeros(scale.shape, np.int8)),
            "scale": Blob.of(scale),
            "axis": Blob.of(np.array(axis, np.int32)),
        }
        return Encoded("constexpr_affine_dequantize", blobs, dtype, integers.shape)

    def _blocks(self, channels: int) -> int:
        return 1 if self.nbits == 8 else channels // _divisor(channels, self.block_size)


Encoding = Dense | Palette | Linear


def parse(key: str) -> Encoding:
    """The encoding with this ``key``. Raises :class:`EncodingError`."""
    if key in ("dense-fp16", "dense-fp32"):
        return Dense("fp16" if key == "dense-fp16" else "fp32")
    if found := re.fullmatch(r"palette-([123468])(?:-g([1-9]\d*))?", key):
        bits: PaletteBits = int(found[1])  # type: ignore[assignment]
        return Palette(bits, int(found[2]) if found[2] else None)
    if key == "linear-8":
        return Linear(8)
    if found := re.fullmatch(r"linear-4-b([1-9]\d*)", key):
        return Linear(4, int(found[1]))
    raise EncodingError(f"there is no encoding {key!r}")


def _float_type(weight: Array) -> FloatType:
    for name, dtype in DTYPES.items():
        if weight.dtype == dtype:
            return name
    raise ValueError(f"a weight of type {weight.dtype} cannot be encoded")


def _divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is no larger than ``limit``."""
    return next(size for size in range(min(number, limit), 0, -1) if number % size == 0)
