"""What can go wrong between a client and the engine."""

from __future__ import annotations

from sdtui.errors import SdtuiError


class EngineError(SdtuiError):
    """The engine cannot be reached."""


class EngineLost(EngineError):  # noqa: N818 — an event as much as an error
    """The engine was there and is gone."""

    def __init__(self) -> None:
        super().__init__("the engine stopped", "it was ended or killed", "try again, it starts anew")


class NoEngine(EngineError):  # noqa: N818 — nothing went wrong
    """Nobody has needed an engine yet, or not for a while."""

    def __init__(self) -> None:
        super().__init__("no engine is running", "none was needed lately", "it starts when you generate")
