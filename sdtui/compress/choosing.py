"""Which encoding each weight of a bundle gets: as asked for, or as measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sdtui.bundle import Bundle
from sdtui.compress.activations import require_quantize, tolerant
from sdtui.compress.analysis import Bench
from sdtui.compress.mixing import mixed
from sdtui.compress.progress import OnPart
from sdtui.compress.published import read_recipe
from sdtui.compress.request import (
    CompressionError,
    CompressionRequest,
    Published,
    Uniform,
)
from sdtui.compress.treatment import UNIFORM, Treatment, calibration_of, denoiser, open_bench
from sdtui.convert.disassembly import disassemble
from sdtui.convert.encoding.encodings import (
    Dense,
    EncodingError,
    Linear,
    Palette,
    parse,
)
from sdtui.convert.network import compressible


def choose(
    bundle: Bundle, request: CompressionRequest, on_part: OnPart, cancelled: Callable[[], bool]
) -> dict[str, Treatment]:
    """A treatment for each network, by its name in the bundle, that is to be compressed.

    Raises :class:`CompressionError`, other SdtuiErrors of the rooms below, and
    :class:`~sdtui.diffusion.errors.Cancelled`.
    """
    if isinstance(request.goal, Published):
        return {denoiser(bundle): _published(bundle, request.goal)}
    if isinstance(request.goal, Uniform):
        encoding = _uniform(request.goal)
        kind = "linear" if isinstance(encoding, Linear) else "palettized"
        treatments = {
            name: Treatment(kind, encoding)
            for name in bundle.entries
            if name in UNIFORM or name not in bundle.manifest.networks
        }
        if request.activations:
            role = denoiser(bundle)
            require_quantize(disassemble(bundle.network(role)).target)
            bench = open_bench(bundle, role, calibration_of(request), on_part, cancelled)
            treatments[role] = _with_activations(bench, request, on_part, cancelled)
        return treatments
    return {denoiser(bundle): mixed(bundle, request, on_part, cancelled)}


def _uniform(goal: Uniform) -> Palette | Linear:
    try:
        encoding = parse(goal.encoding)
    except EncodingError as error:
        raise CompressionError(
            "the weights cannot be stored like that", str(error), "choose others"
        ) from error
    if isinstance(encoding, Dense):
        raise CompressionError("nothing is to be compressed", f"{encoding.key} is plain", "choose fewer bits")
    return encoding


def _published(bundle: Bundle, goal: Published) -> Treatment:
    source = disassemble(bundle.network(denoiser(bundle)))
    weights = [
        constant.parameter
        for program in source.functions.values()
        for constant in program.constants
        if compressible(constant) and constant.parameter is not None
    ]
    return Treatment("mixed", exceptions=read_recipe(Path(goal.file), goal.recipe, weights))


def _with_activations(
    bench: Bench, request: CompressionRequest, on_part: OnPart, cancelled: Callable[[], bool]
) -> Treatment:
    chosen = tolerant(
        bench, request.layer_psnr, lambda part: on_part("measuring layers in 8 bits", part), cancelled
    )
    steps = {layer.operation: step for layer, step in chosen.items()}
    return Treatment("w8a8", Linear(8), steps=steps)
