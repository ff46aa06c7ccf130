"""Requests as rows of text, and what differs between two of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sdtui.request import Choices, GenerationRequest

if TYPE_CHECKING:
    from sdtui.tui.session import Picture

LABELS = {
    "guidance_scale": "guidance",
    "negative_prompt": "negative",
    "image": "source",
    "timestep_spacing": "spacing",
    "variation_strength": "variation",
    "safety_checker": "safety",
    "compute_units": "units",
}
ALWAYS = ("steps", "guidance_scale", "seed", "scheduler")
TEXTS = ("prompt", "negative_prompt")
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Choices)}


def label(field: str) -> str:
    """A field of a request as people call it."""
    return LABELS.get(field, field.replace("_", " "))


def value(field: str, of: object) -> str:
    """A field's value in a few words."""
    match of:
        case None:
            return "–"
        case bool():
            return "on" if of else "off"
        case float():
            return f"{of:g}"
        case tuple():
            return ", ".join(_item(item) for item in of) or "–"
        case str() if field in ("image", "mask"):
            return Path(of).name
    return str(of)


def rows(picture: Picture) -> list[tuple[str, str]]:
    """Label and value of the model, the size, and each setting that matters for this picture."""
    request = picture.request
    told = [field for field in _DEFAULTS if field in ALWAYS or _says_something(field, request)]
    return [
        ("model", picture.model),
        ("size", f"{picture.width} × {picture.height}"),
        *((label(field), value(field, getattr(request, field))) for field in told),
    ]


def differences(one: Picture, other: Picture) -> list[tuple[str, str, str]]:
    """Label and both values of everything but the prompts in which two pictures differ."""
    whole = [
        ("model", one.model, other.model),
        ("size", f"{one.width} × {one.height}", f"{other.width} × {other.height}"),
    ]
    fields = [
        (label(field), value(field, getattr(one.request, field)), value(field, getattr(other.request, field)))
        for field in _DEFAULTS
        if field not in (*TEXTS, "model", "width", "height", "count")
        and getattr(one.request, field) != getattr(other.request, field)
    ]
    return [row for row in whole if row[1] != row[2]] + fields


def _says_something(field: str, request: GenerationRequest) -> bool:
    """Whether it was set to something else than what everybody starts with; strength counts with an image."""
    if field in (*TEXTS, "model", "width", "height", "count"):
        return False
    if field == "strength":
        return request.image is not None
    return bool(getattr(request, field) != _DEFAULTS[field])


def _item(item: object) -> str:
    name, weight = getattr(item, "name", None), getattr(item, "weight", 1.0)
    return str(item) if name is None else f"{name} {weight:g}"
