"""Screens that follow the session."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Follower(Protocol):
    """A screen that shows something of the session, and may hold something typed for it."""

    def show(self) -> None:
        """Draw the session as it is now."""

    def gather(self) -> None:
        """Take into the session what was typed."""
