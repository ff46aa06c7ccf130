"""How much noise each weight alone adds to a network's output, in each way of storing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from sdtui.compress.calibration import Calibration, Inputs
from sdtui.compress.layers import Change, Layer, LayeredNetwork, Run
from sdtui.compress.noise import Outputs, decibels, mean, relative_noise
from sdtui.compress.request import CompressionError
from sdtui.convert.encoding.clusters import Clusters, cluster
from sdtui.convert.encoding.decoding import decode
from sdtui.convert.encoding.encoded import FloatType
from sdtui.convert.encoding.encodings import Encoding, Palette, parse
from sdtui.diffusion.errors import Cancelled
from sdtui.files import reason, write_atomically

FORMAT = 1


class WeightNoise(msgspec.Struct, frozen=True):
    """One weight: its ``shape``, its type as it was given (``fp16`` or ``fp32``), and the relative noise
    at the output for each encoding's key."""

    shape: tuple[int, ...]
    dtype: FloatType
    noise: dict[str, float]


class Point(msgspec.Struct, frozen=True):
    """A way to store a network: the bytes of its compressed weights, bits a weight, noise at the output."""

    nbytes: int
    bits: float
    noise: float

    @property
    def psnr(self) -> float:
        """In dB, inf where nothing is lost."""
        return decibels(self.noise)


class Curve(msgspec.Struct, frozen=True):
    """``uniform`` has one palette size each, ``mixed`` the recipes; both from small to large."""

    uniform: list[Point]
    mixed: list[Point]


class Analysis(msgspec.Struct, kw_only=True):
    """What was measured of one network; the JSON form is a file that a run can go on from.

    ``network`` is the package's SHA-256; ``weights`` are by name, in the order in which they are used;
    ``curve`` is measured on inputs that were not used for them.
    """

    format: int = FORMAT
    network: str
    calibration: Calibration
    encodings: list[str]
    weights: dict[str, WeightNoise] = {}
    curve: Curve | None = None


class Bench:
    """A network, inputs to try it with, and what it answers while nothing is changed."""

    def __init__(self, network: LayeredNetwork, samples: Sequence[Inputs]) -> None:
        self.network = network
        self._samples = samples
        self._clusters: dict[tuple[Layer, int], Clusters] = {}
        self.runs = self.copies()
        self.references: list[Outputs] = [run.finish() for run in self.runs]

    def copies(self) -> list[Run]:
        """Runs of their own, one for each sample, that stand at the beginning."""
        return [self.network.start(sample) for sample in self._samples]

    def noise(self, changes: Mapping[Layer, Change]) -> float:
        """The relative noise at the output with these layers changed, the mean over the samples."""
        return mean(
            relative_noise(reference, run.finish(changes))
            for reference, run in zip(self.references, self.runs, strict=True)
        )

    def recipe_noise(self, encodings: Mapping[str, str]) -> float:
        """The relative noise at the output with all weights stored by these keys, by their names."""
        changes = {
            layer: self.stored(layer, parse(encodings[layer.weight]))
            for layer in self.network.layers
            if layer.weight in encodings
        }
        beginning = self.copies()
        return mean(
            relative_noise(reference, run.finish(changes))
            for reference, run in zip(self.references, beginning, strict=True)
        )

    def stored(self, layer: Layer, encoding: Encoding) -> Change:
        """The layer with its weight as it comes out of ``encoding``."""
        weight = self.network.weight(layer)
        if isinstance(encoding, Palette) and encoding.group_size is None:
            stored = self._clustered(layer, encoding.nbits).nearest(weight)
        else:
            # Every target's form of an encoding holds the same numbers.
            stored = decode(encoding.encode(weight, "macOS15", layer.channel_axis))
        return Change(weight=self.network.tensor(stored))

    def _clustered(self, layer: Layer, nbits: int) -> Clusters:
        """A weight's palette, kept: to find it takes longer than to run a small network."""
        if (layer, nbits) not in self._clusters:
            self._clusters[layer, nbits] = cluster(self.network.weight(layer), 2**nbits)
        return self._clusters[layer, nbits]


def analyse(
    bench: Bench,
    analysis: Analysis,
    file: Path | None = None,
    on_fraction: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Measure what ``analysis`` still lacks; it is written to ``file`` after each weight.

    ``on_fraction`` hears how much of the work is done, what was done before included.
    Raises :class:`Cancelled` before the next weight once ``cancelled`` says so.
    """
    layers = bench.network.layers
    total = sum(_work(bench, layer) for layer in layers)
    done = 0
    for layer in layers:
        done += _work(bench, layer)
        if layer.weight in analysis.weights:
            continue
        if cancelled():
            raise Cancelled
        for run in bench.runs:
            run.advance(layer)
        noise = {key: bench.noise({layer: bench.stored(layer, parse(key))}) for key in analysis.encodings}
        analysis.weights[layer.weight] = WeightNoise(layer.shape, layer.dtype, noise)
        if file is not None:
            save(analysis, file)
        on_fraction(done / total)


def _work(bench: Bench, layer: Layer) -> int:
    """What measuring a layer costs, in steps: those that come after it, and its clustering."""
    return bench.network.steps - layer.step + 50


def resume(file: Path, fresh: Analysis) -> Analysis:
    """What ``file`` holds of the same network, measured in the same way; else ``fresh``.

    Raises :class:`CompressionError` when the file is something else.
    """
    if not file.exists():
        return fresh
    found = load(file)
    same = (found.network, found.calibration, found.encodings) == (
        fresh.network,
        fresh.calibration,
        fresh.encodings,
    )
    return found if same else fresh


def load(file: Path) -> Analysis:
    """Read an analysis. Raises :class:`CompressionError`."""
    what = f"the analysis {file} cannot be read"
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Analysis)
    except OSError as error:
        raise CompressionError(what, reason(error), "check the path") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CompressionError(what, str(error), "remove it and measure again") from error
    if found.format > FORMAT:
        raise CompressionError(what, "a later sdtui made it", "update sdtui")
    return found


def save(analysis: Analysis, file: Path) -> None:
    """Write an analysis, whole or not at all. Raises :class:`CompressionError`."""
    try:
        write_atomically(file, msgspec.json.format(msgspec.json.encode(analysis)) + b"\n")
    except OSError as error:
        raise CompressionError(
            f"the analysis {file} cannot be written", reason(error), "choose another place, or make room"
        ) from error
