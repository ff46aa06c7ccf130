"""What the studio remembers between two runs: one small JSON file in the state folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sdtui.files import write_atomically
from sdtui.settings import places
from sdtui.tui.conversion_draft import ConversionDraft
from sdtui.tui.draft import Draft
from sdtui.tui.sheet import Sheet


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The request and the conversion being written, earlier prompts, and the last picture seen here.

    ``draft`` is None before the first run; ``seen`` is a history id. ``sheets`` are those whose
    pictures were still being made.
    """

    draft: Draft | None = None
    prompts: tuple[str, ...] = ()
    seen: int | None = None
    conversion: ConversionDraft = ConversionDraft()
    sheets: tuple[Sheet, ...] = ()


def studio_file() -> Path:
    """Where it lies."""
    return places().state / "studio.json"


def recall() -> Remembered:
    """What the last run left; an empty memory where there is none, or where it is damaged."""
    try:
        return msgspec.json.decode(studio_file().read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError):
        return Remembered()


def remember(remembered: Remembered) -> None:
    """Write it, all or nothing. Raises OSError."""
    file = studio_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, msgspec.json.encode(remembered))
