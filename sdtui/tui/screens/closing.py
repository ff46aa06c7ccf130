"""Screens above the main one take keys from when they are whole, and close once."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import Screen, ScreenResultType
from textual.widgets import Input


class ClosesOnce(Screen[ScreenResultType]):
    """Keys may arrive together: one that comes before the screen's parts do has nothing to act on, and a
    second closing one neither answers again nor closes another screen.
    """

    def on_mount(self) -> None:
        for line in self.query(Input):
            line.cursor_blink = False  # motion only where work happens, and nothing sent while idle

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return super().check_action(action, parameters) if self.is_mounted else False

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()
