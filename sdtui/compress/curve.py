"""PSNR against size: recipes of many sizes beside uniform palettes, all of them measured."""

from __future__ import annotations

from collections.abc import Callable

from sdtui.compress.analysis import Analysis, Bench, Curve, Point
from sdtui.compress.recipe import Tradeoff
from sdtui.convert.encoding.encodings import parse

MIXED_BITS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0)


def measure_curve(
    bench: Bench, analysis: Analysis, on_fraction: Callable[[float], None] = lambda _: None
) -> Curve:
    """Measure every palette for all weights alike, and recipes of :data:`MIXED_BITS`."""
    tradeoff = Tradeoff(analysis)
    reachable = [bits for bits in MIXED_BITS if bits > tradeoff.smallest().bits]
    tried = len(analysis.encodings) + len(reachable)
    uniform, mixed = [], []
    for key in analysis.encodings:
        nbytes = sum(parse(key).nbytes(weight.shape) for weight in analysis.weights.values())
        noise = bench.recipe_noise(dict.fromkeys(analysis.weights, key))
        uniform.append(Point(nbytes, 8 * nbytes / tradeoff.elements, noise))
        on_fraction(len(uniform) / tried)
    for bits in reachable:
        recipe = tradeoff.within_bits(bits)
        mixed.append(Point(recipe.nbytes, recipe.bits, bench.recipe_noise(recipe.encodings)))
        on_fraction((len(uniform) + len(mixed)) / tried)
    return Curve(uniform, mixed)
