"""How each weight is to be stored: the least noise for the room there is.

Noises of different weights add up, so the choice is a sum to be minimised under a bound on another
sum. For each weight only the encodings on the lower convex hull of noise over bytes can be part of
the best choice; taken in the order of noise saved per byte, every prefix of their edges is the best
choice of its size: Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers",
IEEE Transactions on Acoustics, Speech, and Signal Processing 36 (1988).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from sdtui.compress.analysis import Analysis
from sdtui.compress.request import CompressionError
from sdtui.convert.encoding.encodings import Dense, parse


@dataclass(frozen=True)
class Choice:
    """One way to store a weight: the encoding's ``key``, its bytes and the noise it adds."""

    key: str
    nbytes: int
    noise: float


@dataclass(frozen=True)
class Recipe:
    """An encoding's key for each weight. ``noise`` is the sum of what was measured for each alone."""

    encodings: Mapping[str, str]
    elements: int
    nbytes: int
    noise: float

    @property
    def bits(self) -> float:
        """What a weight takes on average, tables included."""
        return 8 * self.nbytes / self.elements


@dataclass(frozen=True)
class _Edge:
    """An exchange of one choice for the next on the hull of its weight."""

    weight: str
    place: int
    nbytes: int
    saved: float

    @property
    def slope(self) -> float:
        return self.saved / self.nbytes


class Tradeoff:
    """All that was measured of a network's weights, ready to be weighed against room."""

    def __init__(self, analysis: Analysis) -> None:
        self._hulls: dict[str, list[Choice]] = {}
        self.elements = 0
        for name, weight in analysis.weights.items():
            choices = [
                Choice(key, parse(key).nbytes(weight.shape), noise) for key, noise in weight.noise.items()
            ]
            dense = Dense(weight.dtype)
            choices.append(Choice(dense.key, dense.nbytes(weight.shape), 0.0))
            self._hulls[name] = lower_hull(choices)
            self.elements += prod(weight.shape)
        self._edges = sorted(self._all_edges(), key=lambda edge: -edge.slope)

    @property
    def weights(self) -> frozenset[str]:
        """The names of the weights."""
        return frozenset(self._hulls)

    def smallest(self) -> Recipe:
        """Every weight as small as it can be."""
        return self._recipe(dict.fromkeys(self._hulls, 0))

    def within(self, nbytes: float) -> Recipe:
        """The least noise in at most so many bytes. Raises :class:`CompressionError` for too few."""
        smallest = self.smallest()
        if smallest.nbytes > nbytes:
            raise CompressionError(
                "the network cannot be that small",
                f"{8 * nbytes / self.elements:.2f} bits a weight are fewer than {smallest.bits:.2f}",
                "allow more",
            )
        room = nbytes - smallest.nbytes

        def fits(edge: _Edge) -> bool:
            nonlocal room
            if edge.nbytes > room:
                return False
            room -= edge.nbytes
            return True

        return self._take(fits)

    def within_bits(self, bits: float) -> Recipe:
        """The least noise at so many bits a weight on average, tables included."""
        return self.within(bits * self.elements / 8)

    def quieter_than(self, noise: float) -> Recipe:
        """The fewest bytes whose noises add up to no more than ``noise``."""
        sum_ = self.smallest().noise

        def needed(edge: _Edge) -> bool:
            nonlocal sum_
            if sum_ <= noise:
                return False
            sum_ -= edge.saved
            return True

        return self._take(needed)

    def path(self) -> Iterator[Recipe]:
        """The best recipes of all sizes, from the smallest to the one that changes nothing."""
        places = dict.fromkeys(self._hulls, 0)
        yield self._recipe(places)
        for edge in self._edges:
            places[edge.weight] = edge.place
            yield self._recipe(places)

    def _all_edges(self) -> Iterator[_Edge]:
        for name, hull in self._hulls.items():
            for place, (before, after) in enumerate(itertools.pairwise(hull), start=1):
                yield _Edge(name, place, after.nbytes - before.nbytes, before.noise - after.noise)

    def _take(self, wanted: Callable[[_Edge], bool]) -> Recipe:
        """Of each weight the edges in order, as long as they are wanted."""
        places = dict.fromkeys(self._hulls, 0)
        for edge in self._edges:
            if places[edge.weight] == edge.place - 1 and wanted(edge):
                places[edge.weight] = edge.place
        return self._recipe(places)

    def _recipe(self, places: Mapping[str, int]) -> Recipe:
        chosen = {name: self._hulls[name][place] for name, place in places.items()}
        return Recipe(
            encodings={name: choice.key for name, choice in chosen.items()},
            elements=self.elements,
            nbytes=sum(choice.nbytes for choice in chosen.values()),
            noise=sum(choice.noise for choice in chosen.values()),
        )


def lower_hull(choices: Iterable[Choice]) -> list[Choice]:
    """The choices that a straight line between two others does not beat, by bytes; each less noisy."""
    hull: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.nbytes, choice.noise)):
        if hull and choice.noise >= hull[-1].noise:
            continue
        while len(hull) > 1 and _above(hull[-1], hull[-2], choice):
            hull.pop()
        hull.append(choice)
    return hull


def _above(middle: Choice, left: Choice, right: Choice) -> bool:
    """Whether ``middle`` lies on or above the line from ``left`` to ``right``."""
    return (left.noise - middle.noise) * (right.nbytes - left.nbytes) <= (left.noise - right.noise) * (
        middle.nbytes - left.nbytes
    )
