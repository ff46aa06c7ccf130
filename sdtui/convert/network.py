"""One torch module to one Core ML package."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch

from sdtui.convert.precision import tolerates_fp16
from sdtui.convert.source import ConversionError, Source
from sdtui.files import create_folder_atomically

Target = Literal["macOS13", "macOS14", "macOS15"]
ComputePrecision = Literal["fp16", "fp32"]
PALETTE_BITS = (1, 2, 4, 6, 8)
"""Palettes that every target knows; 3 bits need macOS15."""


def convert_network(
    source: Source,
    package: Path,
    *,
    target: Target = "macOS13",
    precision: ComputePrecision = "fp16",
    nbits: int | None = None,
) -> None:
    """Write ``source`` as an ML Program to ``package``, which appears whole or not at all.

    ``precision`` is that of weights and arithmetic; what float16 cannot hold stays in float32 (see
    :mod:`sdtui.convert.precision`). ``nbits`` palettizes the weights: each tensor of more than 2048
    numbers becomes 2**nbits values found by k-means, and an index each; embeddings are left alone.
    Raises :class:`ConversionError`, and FileExistsError rather than overwrite.
    """
    if nbits is not None and nbits not in PALETTE_BITS:
        raise ConversionError(
            f"the {source.name} cannot be palettized",
            f"{nbits} bits are not possible",
            f"choose one of {', '.join(map(str, PALETTE_BITS))}",
        )
    model = _ml_program(source, target, precision)
    if nbits is not None:
        model = _palettized(model, nbits)
    with create_folder_atomically(package) as unfinished:
        model.save(str(unfinished))


def _ml_program(source: Source, target: Target, precision: ComputePrecision) -> Any:
    ct = _coremltools()
    probe = source.probes[0]
    examples = tuple(torch.from_numpy(array) for array in probe.values())
    with warnings.catch_warnings():
        # torch calls tracing deprecated; coremltools warns of untested versions. Accuracy is measured.
        warnings.simplefilter("ignore")
        with torch.no_grad():
            traced = torch.jit.trace(source.module, examples, check_trace=False)  # type: ignore[no-untyped-call]
        return ct.convert(
            traced,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target[target],
            inputs=[ct.TensorType(name, array.shape, dtype=array.dtype) for name, array in probe.items()],
            outputs=[ct.TensorType(name, dtype=float) for name in source.outputs],
            compute_precision=(
                ct.precision.FLOAT32
                if precision == "fp32"
                else ct.transform.FP16ComputePrecision(op_selector=tolerates_fp16)
            ),
            skip_model_load=True,
        )


def _palettized(model: Any, nbits: int) -> Any:
    """Apple's recipe: one table for each tensor, k-means, no embeddings (``gather``)."""
    from coremltools.optimize import coreml as compression

    return compression.palettize_weights(
        model,
        compression.OptimizationConfig(
            global_config=compression.OpPalettizerConfig(mode="kmeans", nbits=nbits),
            op_type_configs={"gather": None},
        ),
    )


def _coremltools() -> Any:
    """Import coremltools, without its remarks on versions that it has not been tested with."""
    import logging

    logging.getLogger("coremltools").setLevel(logging.ERROR)
    try:
        import coremltools
    except ImportError as error:
        raise ConversionError(
            "models cannot be converted here",
            "coremltools has no wheel for this platform or this Python",
            "convert on macOS or Linux x86-64 with Python 3.11 to 3.13",
        ) from error
    return coremltools
