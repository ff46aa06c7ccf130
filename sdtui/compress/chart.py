"""A curve of PSNR against size as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from sdtui.compress.analysis import Curve, Point
from sdtui.compress.noise import BROKEN

WIDTH, HEIGHT = 1200, 720
_FINER = 2
"""Drawn so many times larger, then made smaller: smooth lines."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 60, 90, 80
_PAPER, _INK, _FAINT = (255, 255, 255), (40, 44, 52), (226, 229, 234)
_MUTED, _ACCENT = (122, 129, 141), (33, 105, 210)
_TICKS = 7


@dataclass(frozen=True)
class _Axis:
    """Numbers from ``low`` to ``high`` along pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    step: float

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float) -> _Axis:
        """An axis whose ends are round numbers around ``values``."""
        least, most = min(values), max(values)
        step = _round_step((most - least or 1.0) / _TICKS)
        return cls(step * (least // step), step * -(-most // step), start, end, step)

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        return [
            self.low + self.step * index for index in range(round((self.high - self.low) / self.step) + 1)
        ]


def draw(curve: Curve, title: str) -> bytes:
    """The curve as PNG: recipes in one colour, uniform palettes in another, each with bits and dB."""
    uniform, mixed = _drawable(curve.uniform), _drawable(curve.mixed)
    points = [*uniform, *mixed]
    sizes = _Axis.of([point.nbytes / 1e6 for point in points], _LEFT, WIDTH - _RIGHT)
    levels = _Axis.of([point.psnr for point in points], HEIGHT - _BOTTOM, _TOP)
    picture = Image.new("RGB", (WIDTH * _FINER, HEIGHT * _FINER), _PAPER)
    pen = _Pen(ImageDraw.Draw(picture))
    pen.text((_LEFT, 30), title, 24, _INK)
    for tick in levels.ticks:
        pen.line([(_LEFT, levels.place(tick)), (WIDTH - _RIGHT, levels.place(tick))], _FAINT, 1)
        pen.text((_LEFT - 14, levels.place(tick)), f"{tick:g}", 16, _MUTED, "rm")
    for tick in sizes.ticks:
        pen.text((sizes.place(tick), HEIGHT - _BOTTOM + 14), f"{tick:g}", 16, _MUTED, "mt")
    pen.text((WIDTH - _RIGHT, HEIGHT - 22), "MB of compressed weights", 16, _MUTED, "rb")
    pen.text((_LEFT - 14, _TOP - 22), "dB", 16, _MUTED, "rb")

    def places(chosen: Sequence[Point]) -> list[tuple[float, float]]:
        return [(sizes.place(point.nbytes / 1e6), levels.place(point.psnr)) for point in chosen]

    pen.line(places(uniform), _MUTED, 1.5)
    for (x, y), point in zip(places(uniform), uniform, strict=True):
        pen.dot((x, y), 5, _MUTED)
        pen.text((x + 10, y + 6), f"{point.bits:.0f} bits  {point.psnr:.1f}", 15, _MUTED, "lt")
    pen.line(places(mixed), _ACCENT, 2.5)
    for (x, y), point in zip(places(mixed), mixed, strict=True):
        pen.dot((x, y), 5.5, _ACCENT)
        pen.text((x - 9, y - 7), f"{point.bits:.2g} bits  {point.psnr:.1f}", 15, _ACCENT, "rb")
    pen.text((WIDTH - _RIGHT, 30), "mixed bits", 18, _ACCENT, "rt")
    pen.text((WIDTH - _RIGHT - 110, 30), "the same bits everywhere", 18, _MUTED, "rt")
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _drawable(points: Sequence[Point]) -> list[Point]:
    """Without those that lose nothing, or everything."""
    return [point for point in points if 0 < point.noise < BROKEN]


class _Pen:
    """Draws in the picture's final coordinates."""

    def __init__(self, canvas: ImageDraw.ImageDraw) -> None:
        self._canvas = canvas

    def line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: float) -> None:
        scaled = [(x * _FINER, y * _FINER) for x, y in points]
        self._canvas.line(scaled, fill=colour, width=round(width * _FINER), joint="curve")

    def dot(self, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
        x, y = centre
        box = [(side * _FINER) for side in (x - radius, y - radius, x + radius, y + radius)]
        self._canvas.ellipse(box, fill=colour, outline=_PAPER, width=2 * _FINER)

    def text(
        self,
        place: tuple[float, float],
        text: str,
        size: int,
        colour: tuple[int, int, int],
        anchor: str = "lt",
    ) -> None:
        font = ImageFont.load_default(size * _FINER)
        x, y = place
        self._canvas.text((x * _FINER, y * _FINER), text, fill=colour, font=font, anchor=anchor)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, ... that is no smaller than ``least``."""
    step = 1e-3
    while True:
        for factor in (1, 2, 5):
            if factor * step >= least:
                return factor * step
        step *= 10
