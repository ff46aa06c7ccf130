"""Painting where the source picture is to be made anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from sdtui.errors import SdtuiError
from sdtui.terminal.capabilities import ColourDepth
from sdtui.tui.mask import new_mask, read_mask, write_mask
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.session import failure_line
from sdtui.tui.widgets.key_hints import KeyHints
from sdtui.tui.widgets.mask_painter import BRUSHES, MaskPainter

if TYPE_CHECKING:
    from PIL import Image

    from sdtui.tui.mask import Mask

HINTS = {
    "mask.pen": "pen",
    "mask.keep": "use it",
    "mask.eraser": "eraser",
    "mask.wider": "wider",
    "mask.narrower": "narrower",
    "mask.undo": "undo",
    "mask.invert": "invert",
    "mask.clear": "clear",
    "mask.close": "leave it",
}


class MaskScreen(ClosesOnce[Path | None]):
    """Dismisses with the mask's file, or with None where the person leaves it as it was.

    ``image`` is the path of the source, ``mask`` of the mask that it has so far.
    """

    CSS_PATH = "mask.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "use this mask", id="mask.keep"),
        Binding("escape", "dismiss", "leave it as it was", id="mask.close"),
    ]

    def __init__(self, image: str, mask: str | None, depth: ColourDepth) -> None:
        super().__init__()
        self._image = Path(image)
        self._mask = mask
        self._depth = depth
        self._pixels = (1, 1)

    def compose(self) -> ComposeResult:
        yield Static(id="mask-title")
        yield MaskPainter(self._depth, id="painter")
        yield KeyHints(HINTS)

    def on_mount(self) -> None:
        self.run_worker(self._read())

    async def _read(self) -> None:
        try:
            image, mask = await asyncio.to_thread(_opened, self._image, self._mask)
        except (OSError, ValueError, SyntaxError):
            self._say(Content.assemble(("✗ ", "bold $error"), f"{self._image} cannot be shown"))
            return
        self._pixels = image.size
        self.query_one(MaskPainter).show(image, mask)
        self._title()

    @on(MaskPainter.Painted)
    def _title(self) -> None:
        painter = self.query_one(MaskPainter)
        if painter.mask is None:
            return
        pen = "eraser" if painter.erasing else "pen"
        self._say(
            Content.styled(
                f"{pen} {'down' if painter.down else 'up'}   brush {painter.brush + 1} of {len(BRUSHES)}"
                f"   {painter.mask.share:4.0%} is painted anew",
                "$foreground-muted",
            )
        )

    def _say(self, content: Content) -> None:
        self.query_one("#mask-title", Static).update(Content.assemble((" MASK   ", "bold $accent"), content))

    def action_keep(self) -> None:
        mask = self.query_one(MaskPainter).mask
        if mask is None or mask.empty:
            self._say(Content("nothing is painted yet: space puts the pen down, arrows and the mouse paint"))
        else:
            self.run_worker(self._write(mask))

    async def _write(self, mask: Mask) -> None:
        try:
            self.dismiss(await asyncio.to_thread(write_mask, mask, *self._pixels))
        except SdtuiError as error:
            self._say(Content.assemble(("✗ ", "bold $error"), failure_line(error)))


def _opened(path: Path, mask: str | None) -> tuple[Image.Image, Mask]:
    """The source in RGB, and its mask. Raises OSError, ValueError, SyntaxError."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    return image, read_mask(Path(mask), *image.size) if mask else new_mask(*image.size)
