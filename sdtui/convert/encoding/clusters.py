"""The best table of a few values for many: exact one-dimensional k-means over float16.

Float16 has 65,536 bit patterns, so a weight of any size is summed up by how often each occurs, and
mapped to its palette through a table of that many entries: no sorting, and no memory in proportion
to the weight beyond the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sdtui.convert.encoding.encoded import Array

_PATTERNS = 1 << 16
_MINUS_ZERO = 0x8000
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Clusters:
    """``centroids`` (up to 2**n, float64, ascending); ``codes`` (65,536, uint8) the one of each pattern."""

    centroids: Array
    codes: Array

    def indices(self, weight: Array) -> Array:
        """The code of each element of ``weight``, in its shape."""
        result = np.empty(weight.size, np.uint8)
        start = 0
        for patterns in _patterns(weight):
            self.codes.take(patterns, out=result[start : start + patterns.size], mode="clip")
            start += patterns.size
        return result.reshape(weight.shape)

    def nearest(self, weight: Array) -> Array:
        """``weight`` with each element replaced by its centroid, in its own type."""
        chosen = self.centroids.astype(weight.dtype)[self.indices(weight)]
        return np.asarray(chosen)


def cluster(weight: Array, entries: int) -> Clusters:
    """The ``entries`` values with the least squared error over ``weight`` (float16, or rounded to it).

    Wu, "Optimal quantization by matrix searching", J. Algorithms 1991, in the implementation that
    coremltools carries and uses itself for large float16 weights. Raises ValueError for a weight that
    is empty or not finite.
    """
    counts = np.zeros(_PATTERNS, np.int64)
    for patterns in _patterns(weight):
        counts += np.bincount(patterns, minlength=_PATTERNS)
    counts[0] += counts[_MINUS_ZERO]
    counts[_MINUS_ZERO] = 0
    found = np.flatnonzero(counts).astype(np.uint16)
    values = found.view(np.float16).astype(np.float64)
    if not found.size or not np.isfinite(values).all():
        raise ValueError("a weight without finite values has no palette")
    order = np.argsort(values)
    clusters, centroids = _kmeans(values[order], counts[found[order]], entries)
    codes = np.zeros(_PATTERNS, np.uint8)
    codes[found[order]] = clusters
    codes[_MINUS_ZERO] = codes[0]
    return Clusters(centroids, codes)


def _kmeans(values: Array, counts: Array, entries: int) -> tuple[Array, Array]:
    from coremltools._deps import _kmeans1d

    # A foreign call: it lets other threads of Python run.
    result = _kmeans1d.cluster(values.tolist(), min(entries, values.size), weights=counts.tolist())
    return np.array(result.clusters, np.uint8), np.array(result.centroids)


def _patterns(weight: Array) -> Iterator[Array]:
    """The bit patterns of the elements as float16, in blocks."""
    flat = weight.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield flat[start : start + _BLOCK].astype(np.float16, copy=False).view(np.uint16)
