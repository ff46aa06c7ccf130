"""A small app around a canvas: ``python -m tests.tui.picture_app [PROTOCOL [quarters [FILE]]]``.

f1 opens a dialog, escape closes it; f2 shows the next picture, f3 twenty previews and a picture, f4
changes a label, f5 shows a notice over the picture, f6 draws all anew; ctrl+q ends it, and it says what
was typed. So does the signal TERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import ClassVar, cast, get_args

from PIL import Image
from rich.console import RenderableType
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Label

from sdtui.settings import TerminalImages
from sdtui.terminal.capabilities import colour_depth
from sdtui.terminal.opening import Opening, open_terminal
from sdtui.tui.driver import StudioDriver
from sdtui.tui.projector import Projector
from sdtui.tui.widgets.canvas import Canvas

COLOURS = ("red", "green", "blue", "yellow")


def numbered(number: int) -> Image.Image:
    """A picture unlike the one before it."""
    image = Image.linear_gradient("L").convert("RGB")
    image.paste(COLOURS[number % 4], (64, 64, 192, 192))
    return image


def quarters() -> Image.Image:
    """Four colours in four corners."""
    image = Image.new("RGB", (512, 512))
    for colour, place in zip(
        ("#ff0000", "#00ff00", "#0000ff", "#ffff00"), ((0, 0), (256, 0), (0, 256), (256, 256)), strict=True
    ):
        image.paste(colour, (*place, place[0] + 256, place[1] + 256))
    return image


class Dialog(ModalScreen[None]):
    """Something in front."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "close")]

    def compose(self) -> ComposeResult:
        yield Label("DIALOG")


class PictureApp(App[None]):
    """A picture above a line to type in."""

    CSS = "Canvas { height: 1fr } Input { dock: bottom } Label { dock: top }"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("f1", "dialog", "dialog"),
        ("f2", "next", "next"),
        ("f3", "previews", "previews"),
        ("f4", "label", "label"),
        ("f5", "notice", "notice"),
        ("f6", "redraw", "redraw"),
    ]

    def __init__(self, opening: Opening, wanted: TerminalImages, quartered: bool) -> None:
        super().__init__(driver_class=StudioDriver)
        self.opening = opening
        self._depth = colour_depth(os.environ, self.console.color_system)
        self.projector = Projector(opening.dialogue, wanted, self._depth)
        self._number = 0
        self._quartered = quartered
        self.typed = ""

    def compose(self) -> ComposeResult:
        yield Label("0", id="label")
        yield Canvas(self._depth, id="canvas")
        line = Input(id="line")
        line.cursor_blink = False
        yield line

    def on_mount(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
        self.query_one(Input).focus()
        self.action_next()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize):
            self.projector.resized()
        await super().on_event(event)

    def action_redraw(self) -> None:
        self.projector.forget()
        self.screen.refresh()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        change = self.projector.frame.update(self, renderable)
        super()._display(screen, change)
        self.projector.displayed(change)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.typed = event.value

    def action_dialog(self) -> None:
        self.push_screen(Dialog())

    def action_next(self) -> None:
        self._number += 1
        self.query_one(Canvas).show(quarters() if self._quartered else numbered(self._number))

    def action_previews(self) -> None:
        for step in range(20):
            self.set_timer(0.05 * step, self._preview)
        self.set_timer(1.1, self.action_next)

    def _preview(self) -> None:
        self.query_one(Canvas).show(Image.effect_noise((64, 64), 90).convert("RGB"), passing=True)

    def action_label(self) -> None:
        self.query_one("#label", Label).update(str(self._number))

    def action_notice(self) -> None:
        self.notify("NOTICE", timeout=60)


def main() -> None:
    """Run it, and tell its process and then what was typed: on standard output, or into a file."""
    wanted, picture, told = [*sys.argv[1:], *("auto", "numbers", "/dev/stdout")[len(sys.argv) - 1 :]]
    assert wanted in get_args(TerminalImages)
    opening = open_terminal(os.environ)
    assert opening is not None
    opening.listen(0)
    with Path(told).open("a") as file:
        print(f"PROCESS {os.getpid()}", file=file, flush=True)
        app = PictureApp(opening, cast(TerminalImages, wanted), picture == "quarters")
        try:
            app.run()
        finally:
            opening.close()
        print(f"TYPED {app.typed!r} SHOWN {app.projector.choice.protocol}", file=file, flush=True)


if __name__ == "__main__":
    main()
