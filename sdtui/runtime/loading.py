"""What may be said of a network before it is loaded, and what is heard while it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["compiling", "specialising", "loading", "ready"]
"""``compiling`` is done once a network, ``specialising`` once for each choice of compute units and
version of macOS: the Neural Engine may take minutes for it. ``loading`` is what later starts do."""


@dataclass(frozen=True)
class Profile:
    """What a model says of one of its networks, as far as compute units depend on it.

    ``role``, ``family`` and ``attention`` are the manifest's words; ``width`` and ``height`` are the
    picture's pixels.
    """

    role: str
    family: str
    width: int
    height: int
    attention: str | None = None


@dataclass(frozen=True)
class LoadingStage:
    """A load has come to ``stage``, ``elapsed`` seconds after it began.

    ``expected`` is how many seconds the stage took last time, None where nobody knows. ``note`` is a
    sentence for the person: that other compute units are used than were asked for, and why.
    """

    stage: Stage
    elapsed: float
    expected: float | None = None
    note: str = ""


OnStage = Callable[[LoadingStage], None]


def unheard(_stage: LoadingStage) -> None:
    """Nobody listens."""
