"""Asked before something is lost for good."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from sdtui.tui.screens.closing import ClosesOnce


class Confirm(ClosesOnce[bool], ModalScreen[bool]):
    """Dismisses with whether the person wants it. ``what`` happens then; ``lost`` is what that costs."""

    CSS_PATH = "confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes", id="confirm.yes"),
        Binding("n,escape", "dismiss(False)", "no", id="confirm.no"),
    ]

    def __init__(self, what: str, lost: str) -> None:
        super().__init__()
        self._what, self._lost = what, lost

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm"):
            yield Static(self._what, id="confirm-what", markup=False)
            yield Static(self._lost, id="confirm-lost", markup=False)
            yield Static("[b $accent]y[/] yes   [b $accent]n[/] no, keep it")
