"""The two settings that an X/Y sheet varies."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

import msgspec

from sdtui.request import GenerationRequest, RequestError
from sdtui.tui.request_rows import label

NUMBERS: dict[str, type[int] | type[float]] = {
    "steps": int,
    "guidance_scale": float,
    "seed": int,
    "strength": float,
    "variation_seed": int,
    "variation_strength": float,
    "blend": float,
    "upscale": float,
    "upscale_strength": float,
    "clip_skip": int,
    "refiner_start": float,
    "width": int,
    "height": int,
}
NAMES = ("scheduler", "timestep_spacing", "sigmas", "rng", "precision", "compute_units")
WORDS = "prompt"
SETTINGS = ("steps", "guidance_scale", "seed", "scheduler", WORDS, *list(NUMBERS)[3:], *NAMES[1:])
"""What can be varied, what is varied most first. ``prompt`` puts other words in the place of the first."""

MOST_VALUES = 100
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)(?:\s*:\s*(\d+(?:\.\d+)?))?")


class Axis(msgspec.Struct, frozen=True):
    """One setting and the values it takes, one after another; words for the prompt's, as typed."""

    setting: str
    values: tuple[int | float | str, ...]

    def applied(self, request: GenerationRequest, index: int) -> GenerationRequest:
        """``request`` with the value at ``index``. Raises :class:`RequestError`."""
        chosen = self.values[index]
        if self.setting == WORDS:
            return request.replace(prompt=request.prompt.replace(str(self.values[0]), str(chosen)))
        return request.replace(**{self.setting: chosen})

    def label(self, index: int) -> str:
        """What stands beside the row or above the column."""
        chosen = self.values[index]
        words = f"{chosen:g}" if isinstance(chosen, float) else str(chosen)
        return words if self.setting == WORDS else f"{label(self.setting)} {words}"


NOTHING = Axis("", ("",))
"""An axis along which nothing changes."""


def parse_axis(setting: str, text: str, request: GenerationRequest) -> Axis:
    """Read ``1, 2.5, 4-10:2`` or names with commas between. Raises :class:`RequestError`.

    Every value is one that ``request`` may have; the first words for the prompt are in it.
    """
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise RequestError(setting, "there is no value", "write some with commas, or a range: 10-30:5")
    if setting in NUMBERS:
        values: list[int | float | str] = [
            value for item in items for value in _numbers(setting, item, NUMBERS[setting])
        ]
    else:
        values = list(items)
    if len(values) > MOST_VALUES:
        raise RequestError(setting, f"{len(values)} values are too many", f"write {MOST_VALUES} at most")
    if setting == WORDS and items[0] not in request.prompt:
        raise RequestError(setting, f"{items[0]!r} is not in it", "begin with words of the prompt")
    axis = Axis(setting, tuple(values))
    for index in range(len(values)):
        axis.applied(request, index)
    return axis


def _numbers(setting: str, item: str, kind: Callable[[str], int | float]) -> list[int | float]:
    """One number, or a range's; decimal, so that 0.1 added three times is 0.3."""
    match = _RANGE.fullmatch(item)
    try:
        if match is None:
            return [kind(item)]
        first, last, by = (Decimal(part) if part else Decimal(1) for part in match.groups())
        if by <= 0 or (last - first) / by > MOST_VALUES:
            raise RequestError(setting, f"{item} has too many values", f"{MOST_VALUES} are the most")
        return [kind(str(first + index * by)) for index in range(int((last - first) / by) + 1)]
    except (ValueError, InvalidOperation) as error:
        raise RequestError(setting, f"{item!r} is no number or range", "10, 20 or 10-30:5") from error


def crossed(request: GenerationRequest, x: Axis, y: Axis) -> tuple[GenerationRequest, ...]:
    """A request for each cell, row by row. Raises :class:`RequestError`."""
    return tuple(
        x.applied(y.applied(request, row) if y.setting else request, column) if x.setting else request
        for row in range(len(y.values))
        for column in range(len(x.values))
    )
