"""The few colours that do most for one picture, and the picture in them. PIL does the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from operator import mul
from typing import TYPE_CHECKING

from sdtui.terminal.cells import RGB

if TYPE_CHECKING:
    from PIL import Image

PASSING_COLOURS = 24
"""Of a preview, which the next step replaces."""
BLOCKS, SAMPLES = 32, 48
"""Along the longer side: block means that the octree sees, pixels that its colours then move towards."""
SPLITS, MOVES = 2, 2
FINE = 12.0
"""Mean squared distance below which a colour stands for its pixels well enough."""


def in_few_colours(picture: Image.Image, colours: int) -> Image.Image:
    """An RGB picture as indices into its own palette of at most ``colours`` (2 to 256) colours.

    A picture that has no more keeps them. No dithering: it costs 3 dB, and half as many bytes again
    where runs of equal pixels are counted.
    """
    from PIL import Image

    few = picture.getcolors(colours)
    chosen = _chosen(picture, colours) if few is None else [colour for _, colour in few]
    return picture.quantize(palette=_palette(chosen), dither=Image.Dither.NONE)  # type: ignore[arg-type]


def _chosen(picture: Image.Image, colours: int) -> list[RGB]:
    """The means of an octree's cells, moved to the middles of the pixels nearest to them (Lloyd 1982).

    An octree has 16 levels of a channel, too few for a picture all of one hue: there they are split
    first, as often as there is room (Linde, Buzo and Gray 1980).
    """
    from PIL import Image

    blocks = picture.reduce(max(1, max(picture.size) // BLOCKS))
    octree = blocks.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    levels = octree.getpalette("RGB") or []
    chosen = [_rounded(levels[3 * index : 3 * index + 3]) for index in set(octree.tobytes())]
    samples = picture.copy()
    samples.thumbnail((SAMPLES, SAMPLES), Image.Resampling.NEAREST)
    for _ in range(SPLITS):
        if len(chosen) > colours // 2:
            break
        chosen = list(chain.from_iterable(map(_split, _nearest(chosen, samples))))
    for _ in range(MOVES):
        chosen = [_rounded(_mean(group)) for group in _nearest(chosen, samples)]
    return chosen


def _nearest(colours: list[RGB], samples: Image.Image) -> list[list[RGB]]:
    """The pixels nearest to each colour that is nearest to any."""
    from PIL import Image

    numbers = samples.quantize(palette=_palette(colours), dither=Image.Dither.NONE).tobytes()
    groups: dict[int, list[RGB]] = {number: [] for number in set(numbers)}
    channels = iter(samples.tobytes())
    for number, pixel in zip(numbers, zip(channels, channels, channels, strict=True), strict=True):
        groups[number].append(pixel)
    return list(groups.values())


def _split(group: list[RGB]) -> list[RGB]:
    """The mean of pixels, or, where they are far from it, two, on either side in the widest channel."""
    mean = _mean(group)
    variances = [
        sum(map(mul, levels, levels)) / len(group) - middle**2
        for levels, middle in zip(zip(*group, strict=True), mean, strict=True)
    ]
    if sum(variances) <= FINE:
        return [_rounded(mean)]
    widest = max(variances)
    aside = [math.sqrt(widest) * (variance == widest) for variance in variances]
    return [
        _rounded([middle + side * step for middle, step in zip(mean, aside, strict=True)]) for side in (1, -1)
    ]


def _mean(group: list[RGB]) -> list[float]:
    return [sum(levels) / len(group) for levels in zip(*group, strict=True)]


def _rounded(levels: Sequence[float]) -> RGB:
    red, green, blue = (min(255, max(0, round(level))) for level in levels)
    return red, green, blue


def _palette(colours: list[RGB]) -> Image.Image:
    from PIL import Image

    image = Image.new("P", (1, 1))
    image.putpalette(list(chain.from_iterable(colours)))
    return image
