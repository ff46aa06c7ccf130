"""Which encoding each weight of a bundle gets: as asked for, or as measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import network_sha256
from sdtui.bundle.manifest import NetworkRole
from sdtui.compress import analysis as analyses
from sdtui.compress.activations import require_quantize, tolerant
from sdtui.compress.analysis import Analysis, Bench
from sdtui.compress.calibration import PROMPTS, Calibration, record
from sdtui.compress.chart import draw
from sdtui.compress.curve import measure_curve
from sdtui.compress.layers import LayeredNetwork
from sdtui.compress.noise import decibels, from_decibels
from sdtui.compress.progress import OnPart
from sdtui.compress.recipe import Recipe, Tradeoff
from sdtui.compress.request import (
    AverageBits,
    CompressionError,
    CompressionRequest,
    Goal,
    LeastPsnr,
    TotalBytes,
    Uniform,
)
from sdtui.conversion import Target
from sdtui.convert.disassembly import Disassembled, disassemble
from sdtui.convert.encoding.encodings import Dense, Encoding, Linear, Palette, PaletteBits, parse
from sdtui.convert.network import Storage
from sdtui.files import reason, write_atomically

DENOISERS: tuple[NetworkRole, ...] = ("unet", "mmdit")
"""Of these a bundle has one; recipes are measured on it, and it holds most of the weights."""

UNIFORM: tuple[str, ...] = (
    *DENOISERS,
    "control_unet",
    "refiner",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
)
"""What bears the same few bits everywhere; so do ControlNets. VAEs do not."""

BLOB_OVERHEAD = 128
"""Bytes that a constant in a weight file may take beside its own: metadata, and alignment twice."""

SEARCHES = 6
MARGIN = 0.89
"""Half a decibel: inputs that a recipe was not chosen by may be a little worse off."""


@dataclass(frozen=True)
class Treatment:
    """How a network is stored: ``default`` for each weight that is not in ``exceptions``, by name.

    ``steps`` are those of the inputs that are rounded, by the layer's result; ``kind`` is the word for
    it all in the manifest, ``predicted`` the PSNR in dB that was promised.
    """

    kind: str
    default: Palette | Linear | None = None
    exceptions: Mapping[str, Encoding] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    predicted: float | None = None

    @property
    def storage(self) -> Storage:
        return Storage(compression=self.default, exceptions=self.exceptions)


def choose(
    bundle: Bundle, request: CompressionRequest, on_part: OnPart, cancelled: Callable[[], bool]
) -> dict[str, Treatment]:
    """A treatment for each network, by its name in the bundle, that is to be compressed.

    Raises :class:`CompressionError`, other SdtuiErrors of the rooms below, and
    :class:`~sdtui.diffusion.errors.Cancelled`.
    """
    if isinstance(request.goal, Uniform):
        encoding = parse(request.goal.encoding)
        assert not isinstance(encoding, Dense)
        kind = "linear" if isinstance(encoding, Linear) else "palettized"
        treatments = {
            name: Treatment(kind, encoding)
            for name in bundle.entries
            if name in UNIFORM or name not in bundle.manifest.networks
        }
        if request.activations:
            role = denoiser(bundle)
            require_quantize(disassemble(bundle.network(role)).target)
            bench = open_bench(bundle, role, _calibration(request), on_part, cancelled)
            treatments[role] = _with_activations(bench, request, on_part, cancelled)
        return treatments
    role = denoiser(bundle)
    return {role: _mixed(bundle, role, request, on_part, cancelled)}


def denoiser(bundle: Bundle) -> NetworkRole:
    """The network that recipes are measured on. Raises :class:`CompressionError`."""
    for role in DENOISERS:
        entry = bundle.manifest.networks.get(role)
        if entry is not None and entry.second_half is None:
            return role
    raise CompressionError(
        f"no recipe can be found for {bundle.name}",
        "its denoiser is cut in two or missing",
        "give a whole number of --bits, or the bundle before it was cut",
    )


def open_bench(
    bundle: Bundle,
    role: NetworkRole,
    calibration: Calibration,
    on_part: OnPart,
    cancelled: Callable[[], bool],
) -> Bench:
    """A network of a bundle and real inputs to try it with."""
    on_part("drawing pictures", 0.0)
    samples = record(bundle, [role], calibration, cancelled)[role]
    if not samples:
        raise CompressionError(
            f"no recipe can be found for {bundle.name}",
            f"pictures are made without its {role.replace('_', ' ')}",
            "give a whole number of --bits",
        )
    return Bench(LayeredNetwork(bundle.network(role)), samples)


def fresh_analysis(
    package: Path, target: Target, calibration: Calibration, group_size: int | None
) -> Analysis:
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


def _calibration(request: CompressionRequest) -> Calibration:
    return Calibration(prompts=request.prompts or PROMPTS, samples=request.samples)


def _with_activations(
    bench: Bench, request: CompressionRequest, on_part: OnPart, cancelled: Callable[[], bool]
) -> Treatment:
    chosen = tolerant(
        bench, request.layer_psnr, lambda part: on_part("measuring layers in 8 bits", part), cancelled
    )
    steps = {layer.operation: step for layer, step in chosen.items()}
    return Treatment("w8a8", Linear(8), steps=steps)


def _mixed(
    bundle: Bundle,
    role: NetworkRole,
    request: CompressionRequest,
    on_part: OnPart,
    cancelled: Callable[[], bool],
) -> Treatment:
    package = bundle.network(role)
    source = disassemble(package)
    calibration = _calibration(request)
    fresh = fresh_analysis(package, source.target, calibration, request.group_size)
    file = Path(request.analysis) if request.analysis is not None else None
    analysis = analyses.resume(file, fresh) if file is not None else fresh
    bench = open_bench(bundle, role, calibration, on_part, cancelled)
    analyses.analyse(bench, analysis, file, lambda part: on_part("measuring weights", part), cancelled)
    if request.curve is not None:
        _draw_curve(bundle, role, analysis, request, on_part, cancelled)
    recipe = reach(request.goal, Tradeoff(analysis), bench, source, on_part)
    return Treatment(
        "mixed",
        exceptions={name: parse(key) for name, key in recipe.encodings.items()},
        predicted=decibels(recipe.noise),
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
    name = role.replace("_", " ")
    try:
        write_atomically(
            Path(request.curve), draw(analysis.curve, f"{bundle.name}: PSNR of the {name} by its size")
        )
    except OSError as error:
        raise CompressionError(
            f"the curve {request.curve} cannot be written", reason(error), "choose another place"
        ) from error


def reach(goal: Goal, tradeoff: Tradeoff, bench: Bench, source: Disassembled, on_part: OnPart) -> Recipe:
    """The best recipe for a goal. Raises :class:`CompressionError` for one out of reach."""
    match goal:
        case AverageBits(bits=bits):
            return tradeoff.within_bits(bits)
        case TotalBytes(nbytes=nbytes):
            return tradeoff.within(nbytes - _beside(source, tradeoff.weights))
        case LeastPsnr(decibels=psnr):
            return _quiet_enough(MARGIN * from_decibels(psnr), tradeoff, bench, on_part)
        case Uniform():
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
