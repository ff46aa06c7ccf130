"""What is known of a compiled network, as JSON beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from sdtui.files import write_atomically
from sdtui.runtime.network import TensorSpec

FORMAT = 1
_FILE = "network.json"


class Interface(msgspec.Struct, frozen=True):
    """The inputs and outputs of one function: shapes and numpy dtypes by name."""

    inputs: dict[str, tuple[list[int], str]]
    outputs: dict[str, tuple[list[int], str]]

    @classmethod
    def of(cls, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec]) -> Interface:
        return cls(_plain(inputs), _plain(outputs))

    def specs(self) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
        """Inputs and outputs as networks state them."""
        return _typed(self.inputs), _typed(self.outputs)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled network's identity and its past on this machine.

    ``compiled`` is where it lies: a name beside this record, or the absolute path of one that was
    imported and is used in place. ``sources`` are the networks on disk that it stands for, each with
    its stamp. ``interfaces`` go by function, ``""`` for the default one. ``seconds`` is what stages
    took last time. ``specialised`` and ``unfit`` hold compute units, with their function: those that
    the system has prepared, and those that failed here with the reason. ``used`` is a Unix time.
    """

    format: int = FORMAT
    sha256: str
    compiled: str
    sources: dict[str, str]
    weight_bytes: int
    macos: str
    os_build: str
    coremltools: str
    interfaces: dict[str, Interface] = {}
    seconds: dict[str, float] = {}
    specialised: frozenset[str] = frozenset()
    unfit: dict[str, str] = {}
    used: float = 0.0


def read_record(folder: Path) -> Record | None:
    """The record in ``folder``; None where there is none that this version can use."""
    try:
        record = msgspec.json.decode((folder / _FILE).read_bytes(), type=Record)
    except (OSError, ValueError, RecursionError):
        return None
    return record if record.format == FORMAT and (folder / record.compiled).is_dir() else None


def write_record(folder: Path, record: Record) -> None:
    """Keep ``record``, used now. Raises OSError."""
    now = msgspec.structs.replace(record, used=time.time())
    write_atomically(folder / _FILE, msgspec.json.encode(now))


def _plain(specs: Mapping[str, TensorSpec]) -> dict[str, tuple[list[int], str]]:
    return {name: (list(spec.shape), spec.dtype.name) for name, spec in specs.items()}


def _typed(specs: dict[str, tuple[list[int], str]]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in specs.items()}
