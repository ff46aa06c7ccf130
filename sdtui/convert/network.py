"""One torch module to one Core ML package, or several that share their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from sdtui import __version__
from sdtui.conversion import ComputePrecision, Target
from sdtui.convert.assembly import WEIGHTS, Encoding, WeightFile, constant_key, write_package, write_weights
from sdtui.convert.encoding.encoded import FloatType
from sdtui.convert.encoding.encodings import WEIGHT_THRESHOLD, Dense, Linear, Palette
from sdtui.convert.program import Constant, Program, coremltools, trace
from sdtui.convert.source import Source
from sdtui.files import create_folder_atomically
from sdtui.runtime import Array

_EMBEDDINGS = frozenset({"gather", "gather_nd", "gather_along_axis"})


@dataclass(frozen=True)
class Storage:
    """How the weights of a network are kept.

    ``precision`` is that of weights and arithmetic; what float16 cannot hold stays in float32 (see
    :mod:`sdtui.convert.precision`). ``compression`` stores each matrix and convolution kernel of more
    than 2048 numbers; embeddings and vectors are left alone. ``exceptions`` names parameters that are
    stored in another way.
    """

    precision: ComputePrecision = "fp16"
    compression: Palette | Linear | None = None
    exceptions: Mapping[str, Encoding] = field(default_factory=dict)

    def encoding(self, constant: Constant) -> Encoding:
        """How ``constant`` is stored."""
        dense = Dense(_FLOATS.get(constant.dtype, "fp32"))
        if not compressible(constant):
            return dense
        assert constant.parameter is not None
        return self.exceptions.get(constant.parameter, self.compression or dense)


_FLOATS: Mapping[str, FloatType] = {"fp16": "fp16", "fp32": "fp32"}


def compressible(constant: Constant) -> bool:
    """Whether a constant is a weight that is worth compressing."""
    return (
        constant.parameter is not None
        and len(constant.shape) >= 2
        and torch.Size(constant.shape).numel() > WEIGHT_THRESHOLD
        and not constant.operations & _EMBEDDINGS
    )


def convert_network(
    source: Source,
    package: Path,
    *,
    target: Target = "macOS13",
    precision: ComputePrecision = "fp16",
    compression: Palette | Linear | None = None,
) -> None:
    """Write ``source`` as an ML Program to ``package``, which appears whole or not at all.

    See :class:`Storage` for ``precision``, which a source may overrule, and ``compression``. Raises
    :class:`ConversionError`, and FileExistsError rather than overwrite; OSError.
    """
    storage = Storage("fp32" if source.needs_fp32 else precision, compression)
    program = trace(source, target, storage.precision)
    write_network({"main": program}, package, source, target=target, storage=storage)


def write_network(
    functions: Mapping[str, Program],
    package: Path,
    source: Source,
    *,
    target: Target,
    storage: Storage,
    shared: WeightFile | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> WeightFile:
    """Write programs whose weights are those of ``source`` to one package, whole or not at all.

    Where ``shared`` holds the very same weights in the same order, its file is linked and takes no
    room on the disk. Returns the weight file of the package. Raises as :func:`convert_network`.
    """
    constants = [
        (constant, storage.encoding(constant))
        for program in functions.values()
        for constant in program.constants
    ]
    with create_folder_atomically(package) as unfinished:
        if shared is not None and _holds_exactly(shared, constants):
            weights = shared
        else:
            parameters = dict(source.module.named_parameters())
            weights = write_weights(
                unfinished / WEIGHTS, constants, lambda name: as_array(parameters[name]), target, on_bytes
            )
        write_package(unfinished, functions, weights, storage.encoding, metadata())
    return replace(weights, path=package / WEIGHTS)


def metadata() -> dict[str, str]:
    """What a package says about its making; no date, so that the same conversion gives the same bytes."""
    return {
        "com.github.apple.coremltools.version": coremltools().__version__,
        "com.github.apple.coremltools.source": f"torch=={torch.__version__}",
        "com.github.apple.coremltools.source_dialect": "TorchScript",
        "sdtui.version": __version__,
    }


def as_array(parameter: torch.Tensor) -> Array:
    """A parameter as numpy has it; bfloat16, which it has not, as float32."""
    value = parameter.detach()
    array: Array = (value.float() if value.dtype == torch.bfloat16 else value).contiguous().numpy()
    return array


def _holds_exactly(weights: WeightFile, constants: Sequence[tuple[Constant, Encoding]]) -> bool:
    wanted = dict.fromkeys(constant_key(constant, encoding) for constant, encoding in constants)
    return list(wanted) == list(weights.stored)
