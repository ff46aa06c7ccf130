"""Mixed bits for a bundle's denoiser: measured, weighed, and drawn as a curve if asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import network_sha256
from sdtui.bundle.manifest import NetworkRole
from sdtui.compress import analysis as analyses
from sdtui.compress.analysis import Analysis, Bench
from sdtui.compress.calibration import Calibration
from sdtui.compress.chart import draw
from sdtui.compress.curve import measure_curve
from sdtui.compress.noise import decibels, from_decibels
from sdtui.compress.progress import OnPart
from sdtui.compress.recipe import Recipe, Tradeoff
from sdtui.compress.request import (
    AverageBits,
    CompressionError,
    CompressionRequest,
    Goal,
    LeastPsnr,
    Published,
    TotalBytes,
    Uniform,
)
from sdtui.compress.treatment import Treatment, calibration_of, denoiser, open_bench
from sdtui.conversion import Target
from sdtui.convert.disassembly import Disassembled, disassemble
from sdtui.convert.encoding.encodings import Palette, PaletteBits, parse
from sdtui.files import reason, write_atomically

_WORDS: Mapping[NetworkRole, str] = {"unet": "UNet", "mmdit": "transformer"}

BLOB_OVERHEAD = 128
"""Bytes that a constant in a weight file may take beside its own: metadata, and alignment twice."""

SEARCHES = 6
MARGIN = 0.89
"""Half a decibel: inputs that a recipe was not chosen by may be a little worse off."""


def mixed(
    bundle: Bundle,
    request: CompressionRequest,
    on_part: OnPart,
    cancelled: Callable[[], bool],
) -> Treatment:
    """The recipe that reaches the goal of ``request``. Raises as :func:`~sdtui.compress.choosing.choose`."""
    role = denoiser(bundle)
    package = bundle.network(role)
    source = disassemble(package)
    calibration = calibration_of(request)
    fresh = _fresh(package, source.target, calibration, request.group_size)
    file = Path(request.analysis) if request.analysis is not None else None
    analysis = analyses.resume(file, fresh) if file is not None else fresh
    bench = open_bench(bundle, role, calibration, on_part, cancelled)
    analyses.analyse(bench, analysis, file, lambda part: on_part("measuring weights", part), cancelled)
    if request.curve is not None:
        _draw_curve(bundle, role, analysis, request, on_part, cancelled)
    recipe = _reach(request.goal, Tradeoff(analysis), bench, source, on_part)
    return Treatment(
        "mixed",
        exceptions={name: parse(key) for name, key in recipe.encodings.items()},
        predicted=decibels(recipe.noise),
    )


def _fresh(package: Path, target: Target, calibration: Calibration, group_size: int | None) -> Analysis:
    """An analysis that has yet to begin, of all palettes that the target has.

    Raises :class:`CompressionError` for a target that has no groups.
    """
    if group_size is not None and target != "macOS15":
        raise CompressionError(
            "channels cannot share palettes in groups",
            f"the network was converted for {target}",
            "convert it with --min-deployment-target macOS15",
        )
    bits: tuple[PaletteBits, ...] = (1, 2, 3, 4, 6, 8) if target == "macOS15" else (1, 2, 4, 6, 8)
    return Analysis(
        network=network_sha256(package),
        calibration=calibration,
        encodings=[Palette(each, group_size).key for each in bits],
    )


def _draw_curve(
    bundle: Bundle,
    role: NetworkRole,
    analysis: Analysis,
    request: CompressionRequest,
    on_part: OnPart,
    cancelled: Callable[[], bool],
) -> None:
    """Measure the curve, unless that was done, and write it as a picture."""
    assert request.curve is not None
    if analysis.curve is None:
        bench = open_bench(bundle, role, analysis.calibration.other(), on_part, cancelled)
        analysis.curve = measure_curve(bench, analysis, lambda part: on_part("measuring the curve", part))
        if request.analysis is not None:
            analyses.save(analysis, Path(request.analysis))
    picture = draw(analysis.curve, f"{bundle.manifest.title}: PSNR of the {_WORDS[role]} by its size")
    try:
        write_atomically(Path(request.curve), picture)
    except OSError as error:
        raise CompressionError(
            f"the curve {request.curve} cannot be written", reason(error), "choose another place"
        ) from error


def _reach(goal: Goal, tradeoff: Tradeoff, bench: Bench, source: Disassembled, on_part: OnPart) -> Recipe:
    """The best recipe for a goal. Raises :class:`CompressionError` for one out of reach."""
    match goal:
        case AverageBits(bits=bits):
            return tradeoff.within_bits(bits)
        case TotalBytes(nbytes=nbytes):
            return tradeoff.within(nbytes - _beside(source, tradeoff.weights))
        case LeastPsnr(decibels=psnr):
            return _quiet_enough(MARGIN * from_decibels(psnr), tradeoff, bench, on_part)
        case Uniform() | Published():
            raise AssertionError("nothing is to be chosen")


def _quiet_enough(noise: float, tradeoff: Tradeoff, bench: Bench, on_part: OnPart) -> Recipe:
    """The smallest recipe found whose noise, measured as a whole, is no more than ``noise``.

    The sum of the noises of each weight alone is close to that of all together; what it is off by is
    taken into account in the next try.
    """
    best = None
    promise = noise
    for attempt in range(SEARCHES):
        on_part("trying recipes", attempt / SEARCHES)
        recipe = tradeoff.quieter_than(promise)
        measured = bench.recipe_noise(recipe.encodings)
        if measured <= noise and (best is None or recipe.nbytes < best.nbytes):
            best = recipe
        if 0.9 * noise <= measured <= noise or not measured:
            break
        promise *= 0.97 * noise / measured
    return best if best is not None else tradeoff.quieter_than(0.0)


def _beside(source: Disassembled, weights: frozenset[str]) -> int:
    """What a weight file takes for everything but these weights."""
    constants = {
        constant.parameter or str(index): constant
        for program in source.functions.values()
        for index, constant in enumerate(program.constants)
    }
    dense = sum(
        prod(constant.shape) * (2 if constant.dtype == "fp16" else 4)
        for name, constant in constants.items()
        if name not in weights
    )
    return dense + BLOB_OVERHEAD * (len(constants) + len(weights))
