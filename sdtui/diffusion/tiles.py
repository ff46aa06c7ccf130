"""A VAE of a fixed size on pictures that are larger: in tiles that overlap and fade into each other.

As diffusers' ``enable_vae_tiling`` does, but with tiles that are all of the network's own size: at the
far edges they overlap more instead of being smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from sdtui.diffusion.errors import Cancelled
from sdtui.runtime import Array, Network

Size = tuple[int, int]
"""Width and height in pixels."""

OVERLAP = 0.25
"""Of a tile at least, with each neighbour: as in diffusers."""


def _never() -> bool:
    return False


def in_tiles(
    network: Network, source: str, target: str, array: Array, cancelled: Callable[[], bool] = _never
) -> Array:
    """``array`` (1, C, h, w) as the input ``source`` of ``network``, to its output ``target`` (1, D, H, W).

    An array of the network's own size is one tile, and goes through as it is. What a tile shows near
    its edges lacks what lies beyond them, so there the neighbours count more and more. Raises
    :class:`Cancelled` between two tiles.
    """
    given, made = network.inputs[source].shape, network.outputs[target].shape
    # Tiles lie on a grid of latents, the coarser of the two.
    grid = (min(given[2], made[2]), min(given[3], made[3]))
    into, out = given[2] // grid[0], made[2] // grid[0]
    height, width = array.shape[2] // into, array.shape[3] // into
    result = np.zeros((1, made[1], height * out, width * out), np.float32)
    weights = np.zeros(result.shape[2:], np.float32)
    for top in starts(height, grid[0]):
        for left in starts(width, grid[1]):
            if cancelled():
                raise Cancelled
            tile = _window(array, top, left, grid, into)
            fade = np.outer(_fade(top, height, grid[0], out), _fade(left, width, grid[1], out))
            _window(result, top, left, grid, out)[...] += network.predict({source: tile})[target] * fade
            _window(weights[None, None], top, left, grid, out)[...] += fade
    return result / weights


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin that cover ``length``, spread evenly; as few as overlap by :data:`OVERLAP`."""
    if length < tile:
        raise ValueError(f"a tile of {tile} is larger than {length}")
    most = tile - math.ceil(tile * OVERLAP)
    count = 1 + math.ceil((length - tile) / most)
    return [round(index * (length - tile) / max(count - 1, 1)) for index in range(count)]


def tile_size(known: Iterable[Size], picture: Size, *, smaller: bool) -> Size | None:
    """Of the sizes that a VAE is made for, the one for this picture: its own, or the largest that fits in.

    ``smaller`` asks for less memory than its own takes. None where there is no such size.
    """
    fitting = [
        size
        for size in known
        if size[0] <= picture[0] and size[1] <= picture[1] and not (smaller and size == picture)
    ]
    return max(fitting, key=lambda size: size[0] * size[1], default=None)


def _window(array: Array, top: int, left: int, grid: tuple[int, int], scale: int) -> Array:
    rows = slice(top * scale, (top + grid[0]) * scale)
    columns = slice(left * scale, (left + grid[1]) * scale)
    return array[:, :, rows, columns]


def _fade(start: int, length: int, tile: int, scale: int) -> Array:
    """How much each row of a tile counts: all of it, less and less towards a neighbour."""
    places = starts(length, tile)
    index = places.index(start)
    weights = np.ones(tile * scale, np.float32)
    if index > 0:
        ramp = np.arange((places[index - 1] + tile - start) * scale, dtype=np.float32)
        weights[: len(ramp)] = ramp / len(ramp)
    if index + 1 < len(places):
        ramp = np.arange((start + tile - places[index + 1]) * scale, dtype=np.float32)
        weights[-len(ramp) :] *= 1 - ramp / len(ramp)
    return weights
