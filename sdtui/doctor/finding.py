"""One thing that was looked at, and how it is. Light: the command line imports this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import reason

Level = Literal["ok", "note", "problem"]
"""``note`` is what a person may want to know or change, ``problem`` what does not work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``told`` and ``remedy`` are lines that people read; ``figures`` the same for programs."""

    section: str
    subject: str
    level: Level = "ok"
    told: str
    remedy: str = ""
    figures: dict[str, str | int | float | bool | None] = {}


def examined(section: str, examine: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What ``examine`` finds; what stops it is a finding too."""
    try:
        yield from examine()
    except SdtuiError as error:
        yield problem(section, section, error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield Finding(
            section=section, subject=section, level="problem", told=f"{where}{reason(error)}",
            remedy="check who may read it",
        )  # fmt: skip


def problem(section: str, subject: str, error: SdtuiError) -> Finding:
    """An error as a finding."""
    told = " ".join(f"{error.what}, {error.why}".split())
    return Finding(section=section, subject=subject, level="problem", told=told, remedy=error.remedy)
