"""What a weight becomes: one operation of MIL and the constants that it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FloatType = Literal["fp16", "fp32"]

DTYPES: Mapping[FloatType, np.dtype[Any]] = {"fp16": np.dtype("<f2"), "fp32": np.dtype("<f4")}


@dataclass(frozen=True, eq=False)
class Blob:
    """A constant as a ``weight.bin`` holds it: contiguous ``data``, ``shape`` in elements.

    ``dtype`` is MIL's name (``fp16``, ``uint8``, ``uint6``, ``int4``, ``uint32``). Types of less than a
    byte are packed, the first element in the lowest bits; ``data`` is then a vector of uint8.
    """

    data: Array
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: Array) -> Blob:
        """An array of a type that numpy has."""
        return cls(np.ascontiguousarray(array), _NAMES[array.dtype.name], array.shape)

    @property
    def nbytes(self) -> int:
        return self.data.nbytes


_NAMES = {
    "float16": "fp16",
    "float32": "fp32",
    "int8": "int8",
    "uint8": "uint8",
    "int32": "int32",
    "uint32": "uint32",
}


@dataclass(frozen=True, eq=False)
class Encoded:
    """A weight as an ``operation`` (``const`` or ``constexpr_…``) over ``blobs``, in writing order.

    ``dtype`` and ``shape`` are those of the weight that comes out of it.
    """

    operation: str
    blobs: Mapping[str, Blob]
    dtype: FloatType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """What its constants take, without headers and alignment."""
        return sum(blob.nbytes for blob in self.blobs.values())
