"""An ML Program as values: what a reader produces, fusion rewrites and the executor prepares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorType:
    """``dtype`` in MIL's spelling (``fp16``, ``int32``, ``uint4``, ``string``); None is an unknown size."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Blob:
    """A constant kept in a weight file: ``offset`` is where its metadata begins, in bytes."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A constant. Numbers are an array of the shape and the nearest numpy dtype of ``type``.

    Sub-byte integers are unpacked, one a byte; bf16 is widened to float32.
    """

    type: TensorType
    data: Array | str | tuple[str, ...] | Blob


Argument = tuple["str | Value", ...]
"""The bindings of one input: names of other values, or constants. More than one for ``values``."""


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    type: TensorType


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation. ``inputs`` holds the attributes too, where older programs keep parameters."""

    type: str
    inputs: Mapping[str, Argument]
    outputs: tuple[Output, ...]

    @property
    def name(self) -> str:
        """The name of its first output, which is what people see in other tools."""
        return self.outputs[0].name if self.outputs else self.type


def only(operation: Operation | None, name: str) -> str | Value | None:
    """The one value that is bound to an input; None where there is none, or several."""
    bound = operation.inputs.get(name, ()) if operation is not None else ()
    return bound[0] if len(bound) == 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    inputs: tuple[Output, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feature:
    """An input or output as the model's description has it; an empty shape may mean "not said"."""

    name: str
    type: TensorType


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Everything that a model file says, except the weights that it points to.

    ``version`` and ``licence`` are its author's words: Apple's converter puts the model's id there.
    """

    specification_version: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    function: Function
    metadata: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    licence: str = ""


NUMPY_DTYPES: Mapping[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "fp16": np.dtype("<f2"),
    "fp32": np.dtype("<f4"),
    "fp64": np.dtype("<f8"),
    "int8": np.dtype("i1"),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
}
"""Types that numpy has as they are stored."""

SUB_BYTE_BITS: Mapping[str, int] = {"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6, "int4": 4}
"""Packed integer types: bits each."""
