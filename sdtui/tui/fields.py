"""The rows of the request panel: how each field of a draft is shown and changed from the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from sdtui.request import (
    SCHEDULERS,
    SEED_LIMIT,
    ComputeUnits,
    Precision,
    RandomSource,
    RequestError,
    Sigmas,
    TimestepSpacing,
)
from sdtui.tui.draft import Draft
from sdtui.tui.request_rows import label, value

DEFAULTS = Draft()


class Field(msgspec.Struct, frozen=True):
    """One row. ``turned`` answers left (-1) and right (+1); ``typed`` reads what a person typed.

    ``typed`` raises :class:`RequestError` when that is no value for this field. ``dependents`` mean
    nothing without this field, and are cleared with it.
    """

    name: str
    label: str
    shown: Callable[[Draft], str]
    turned: Callable[[Draft, int], Draft]
    typed: Callable[[Draft, str], Draft]
    dependents: tuple[str, ...] = ()

    def cleared(self, draft: Draft) -> Draft:
        """The draft with this field as a new one has it."""
        return draft.replace(**{name: getattr(DEFAULTS, name) for name in (self.name, *self.dependents)})

    def is_set(self, draft: Draft) -> bool:
        """Whether the field says something else than a new draft's."""
        return bool(getattr(draft, self.name) != getattr(DEFAULTS, self.name))


def _bounded(draft: Draft, changed: Draft) -> Draft:
    """The changed draft, or the one before when the change went over an edge."""
    try:
        return changed.checked()
    except RequestError:
        return draft


def _shown(name: str) -> Callable[[Draft], str]:
    return lambda draft: value(name, getattr(draft, name))


def _number(name: str, kind: type[int] | type[float], by: float, start: float = 0) -> Field:
    """A number that goes by steps of ``by``, from ``start`` where there is none; no text is none."""

    def turned(draft: Draft, direction: int) -> Draft:
        number = getattr(draft, name)
        moved = start if number is None else round(number + by * direction, 6)
        return _bounded(draft, draft.replace(**{name: kind(moved)}))

    def typed(draft: Draft, text: str) -> Draft:
        try:
            return draft.replace(**{name: kind(text)}).checked()
        except ValueError as error:
            raise RequestError(name, f"{text!r} is no number", "type digits") from error

    return Field(name, label(name), _shown(name), turned, typed)


def _choice(name: str, values: Sequence[object]) -> Field:
    """One of a few values; the beginning of one is enough to type."""
    words = [value(name, each) for each in values]

    def turned(draft: Draft, direction: int) -> Draft:
        index = values.index(getattr(draft, name)) + direction
        return draft.replace(**{name: values[index % len(values)]})

    def typed(draft: Draft, text: str) -> Draft:
        wanted = text.strip().lower()
        # The whole name before one that only begins so: dpm++2m is not dpm++2m-karras.
        for index in sorted(range(len(words)), key=lambda index: words[index] != wanted):
            if words[index].startswith(wanted):
                return draft.replace(**{name: values[index]})
        raise RequestError(name, f"{text!r} is unknown", f"choose one of {', '.join(words)}")

    return Field(name, label(name), _shown(name), turned, typed)


def _path(name: str) -> Field:
    """The path of a picture."""

    def typed(draft: Draft, text: str) -> Draft:
        path = Path(text.strip()).expanduser().absolute()
        if not path.is_file():
            raise RequestError(name, f"there is no file {path}", "give the path of a picture")
        return draft.replace(**{name: str(path)}).checked()

    return Field(name, label(name), _shown(name), lambda draft, _: draft, typed)


def _words(name: str) -> Field:
    return Field(
        name,
        label(name),
        _shown(name),
        lambda draft, _: draft,
        lambda draft, text: draft.replace(**{name: text.strip() or None}).checked(),
    )


def _shown_guidance(draft: Draft) -> str:
    return f"{draft.guidance_scale:g}" if draft.guidance_scale % 1 else f"{draft.guidance_scale:.1f}"


def _typed_seed(draft: Draft, text: str) -> Draft:
    if text.strip().lower() in ("", "r", "random"):
        return draft.replace(seed_locked=False)
    return _number("seed", int, 1).typed(draft, text).replace(seed_locked=True)


def _turned_seed(draft: Draft, direction: int) -> Draft:
    if draft.seed is None:
        return draft.with_next_seed()
    return draft.replace(seed=(draft.seed + direction) % SEED_LIMIT, seed_locked=True)


_GUIDANCE = _number("guidance_scale", float, 0.5)

ALWAYS: tuple[Field, ...] = (
    _number("steps", int, 1),
    msgspec.structs.replace(_GUIDANCE, shown=_shown_guidance),
    Field(
        "seed",
        "seed",
        lambda draft: "random" if draft.seed is None else str(draft.seed),
        _turned_seed,
        _typed_seed,
    ),
    _choice("scheduler", SCHEDULERS),
    _number("count", int, 1),
)
"""What every request tells."""

SOMETIMES: tuple[Field, ...] = (
    msgspec.structs.replace(_path("image"), dependents=("mask", "outpaint")),
    _number("strength", float, 0.05),
    _path("mask"),
    _number("width", int, 64, 512),
    _number("height", int, 64, 512),
    _choice("timestep_spacing", (None, *get_args(TimestepSpacing))),
    _choice("sigmas", (None, *get_args(Sigmas))),
    _choice("rng", get_args(RandomSource)),
    _number("variation_seed", int, 1, 1),
    _number("variation_strength", float, 0.05),
    _words("blend_prompt"),
    _number("blend", float, 0.05),
    _number("upscale", float, 0.5),
    _number("upscale_strength", float, 0.05),
    _number("clip_skip", int, 1),
    _number("refiner_start", float, 0.05),
    _choice("safety_checker", (True, False)),
    _choice("tiled", (False, True)),
    _choice("precision", get_args(Precision)),
    _choice("compute_units", get_args(ComputeUnits)),
)
"""What is told where it was set, and while the request is being changed."""

FIELDS = (*ALWAYS, *SOMETIMES)
