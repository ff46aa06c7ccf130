"""One network behind one door: load it, feed it arrays, get arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sdtui.errors import SdtuiError
from sdtui.request import ComputeUnits, Precision
from sdtui.runtime.loading import OnStage, Profile, unheard

Array = NDArray[Any]


class NetworkError(SdtuiError):
    """A network cannot be read or run."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape and numpy dtype (``float16``, ``float32`` or ``int32``) of one input or output."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Network(Protocol):
    """A loaded Core ML network.

    ``inputs`` and ``outputs`` go by name. ``weight_bytes`` is what its weights take on disk.
    """

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def weight_bytes(self) -> int: ...

    @property
    def runtime(self) -> str:
        """Who runs it and how, as people read it: ``portable bf16``, ``coreml cpu-and-ne``.

        The first run may change it, where Core ML fails on the units that it was loaded on.
        """

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once. Float inputs may be of any float dtype; float outputs arrive as float32.

        Raises :class:`NetworkError` for a missing, unknown or wrongly shaped input.
        """

    def close(self) -> None:
        """Give the memory back; the network cannot be used afterwards."""


def load_network(
    path: str | Path,
    compute_units: ComputeUnits = "all",
    precision: Precision = "auto",
    function: str | None = None,
    *,
    profile: Profile | None = None,
    on_stage: OnStage = unheard,
) -> Network:
    """Load a ``.mlpackage`` or ``.mlmodelc``.

    The Core ML framework runs it on macOS with precision ``auto``; the portable runtime runs it
    everywhere else, on a Mac when a precision is asked for, and where coremltools has no wheel.
    ``compute_units`` steers Core ML, and so does the ``profile``, what the model says of the network;
    for the portable runtime, ``cpu-only`` keeps it off a GPU. ``function`` is the one to run of
    several, None for the default one. ``on_stage`` hears of the stages of a load that takes minutes.
    Raises :class:`NetworkError` when the path holds no network, or a broken one.
    """
    location = Path(path)
    if sys.platform == "darwin" and precision == "auto" and find_spec("coremltools") is not None:
        from sdtui.runtime.apple import AppleNetwork

        return AppleNetwork(location, compute_units, function, profile=profile, on_stage=on_stage)
    from sdtui.runtime.portable.network import load_portable

    return load_portable(location, compute_units, precision, function)
