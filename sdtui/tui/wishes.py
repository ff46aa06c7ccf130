"""What a person wants done with a picture, wherever it is shown. The app does it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from sdtui.tui.session import Picture


@dataclass(eq=False, repr=False)
class Take(Message):
    """Go on from this picture's request."""

    picture: Picture


@dataclass(eq=False, repr=False)
class Mark(Message):
    """Compare this picture with the marked one, or mark it."""

    picture: Picture


@dataclass(eq=False, repr=False)
class Vary(Message):
    """Make an X/Y sheet from this picture's request."""

    picture: Picture


@dataclass(eq=False, repr=False)
class StartFrom(Message):
    """Make the next picture from this one."""

    picture: Picture


Wish = Take | Mark | Vary | StartFrom
