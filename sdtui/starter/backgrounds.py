"""Plain colours and drawn sceneries, as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdtui.starter.config import BACKGROUNDS, COLOURS

Pixels = NDArray[np.float32]

_JITTER = 0.012
"""Spread of a background about its colour, of 0..1."""


def draw(background: int, size: int, generator: np.random.Generator | None = None) -> Pixels:
    """A background (size, size, 3) in 0..1; with a generator, a little different every time."""
    name = BACKGROUNDS[background]
    if name in COLOURS:
        picture = np.broadcast_to(_colour(*COLOURS[name]), (size, size, 3))
    else:
        shift = 0.0 if generator is None else float(generator.uniform(-0.04, 0.04))
        picture = {"meadow": _meadow, "sunset": _sunset, "night sky": _night}[name](size, shift)
    offset = np.zeros(3) if generator is None else _JITTER * generator.standard_normal(3)
    clipped: Pixels = np.clip(picture + offset, 0.0, 1.0).astype(np.float32)
    return clipped


def luminance(background: int) -> float:
    """How light a background is on the whole, 0..1."""
    return float(draw(background, 16).mean((0, 1)) @ np.array([0.2126, 0.7152, 0.0722]))


def _colour(red: int, green: int, blue: int) -> Pixels:
    colour: Pixels = np.array([red, green, blue], np.float32) / np.float32(255)
    return colour


def _rows(size: int) -> Pixels:
    """The middles of the rows, 0..1 downwards, (size, 1, 1)."""
    middles = (np.arange(size) + 0.5) / size
    return middles.astype(np.float32)[:, None, None]


def _fade(part: Pixels, *colours: Pixels) -> Pixels:
    """Colours at equal distances over 0..1, and those between them."""
    stops = np.linspace(0.0, 1.0, len(colours))
    table = np.stack(colours)
    faded = [np.interp(part[..., 0], stops, table[:, channel]) for channel in range(3)]
    return np.stack(faded, axis=-1).astype(np.float32)


def _over(below: Pixels, above: Pixels, part: NDArray[np.floating]) -> Pixels:
    both: Pixels = (below * (1.0 - part) + above * part).astype(np.float32)
    return both


def _meadow(size: int, shift: float) -> Pixels:
    """A light sky over a hill of grass."""
    rows, columns = _rows(size), _rows(size).swapaxes(0, 1)
    sky = _fade(rows / 0.7, _colour(120, 190, 246), _colour(222, 242, 252))
    grass = _fade((rows - 0.6) / 0.4, _colour(136, 204, 92), _colour(78, 158, 66))
    edge = 0.64 + shift + 0.06 * (2 * columns - 1) ** 2
    part = np.clip((rows - edge) * size + 0.5, 0.0, 1.0)
    return _over(sky, grass, part)


def _sunset(size: int, shift: float) -> Pixels:
    """Violet over orange over yellow, above a dark sea."""
    rows = _rows(size)
    sky = _fade(rows / (0.76 + shift), _colour(96, 66, 150), _colour(226, 96, 120), _colour(254, 178, 92))
    sea = _fade((rows - 0.76) / 0.24, _colour(120, 72, 130), _colour(58, 44, 96))
    part = np.clip((rows - 0.76 - shift) * size + 0.5, 0.0, 1.0)
    return np.broadcast_to(_over(sky, sea, part), (size, size, 3))


_STARS = np.random.default_rng(3).uniform(0.03, 0.97, (22, 2))


def _night(size: int, shift: float) -> Pixels:
    """Dark blue, and stars that stand still but for ``shift``."""
    rows, columns = _rows(size)[..., 0], _rows(size)[..., 0].T
    sky = np.broadcast_to(_fade(_rows(size), _colour(14, 18, 52), _colour(46, 58, 112)), (size, size, 3))
    light = np.zeros((size, size), np.float32)
    for x, y in _STARS:
        distance = (columns - x - shift) ** 2 + (rows - y) ** 2
        light += np.exp(-distance / (2 * 0.006**2))
    return _over(sky, np.ones(3, np.float32), np.clip(0.9 * light, 0.0, 1.0)[..., None])
