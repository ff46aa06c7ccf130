"""Brings the pictures of the canvases onto the terminal: one at a time, the newest first.

Half blocks and kitty's placeholders are text, which Textual draws. The picture itself goes beside
that text, through the same driver, in pieces; each is followed by a question that the terminal answers
when it has worked it off. So a slow link is never given more than a slice ahead of the next key.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from textual.geometry import Region

from sdtui.settings import TerminalImages
from sdtui.terminal.answers import Answer, Attributes, CellSize, Graphics, Ready
from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.dialogue import Dialogue
from sdtui.terminal.kitty import IDENTITIES, ask, delete, place
from sdtui.terminal.opening import cell_of_window
from sdtui.terminal.pace import Pace
from sdtui.terminal.protocols import Choice, brand_of, choose
from sdtui.terminal.questions import through_tmux
from sdtui.tui.frame import Change, Frame

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import RenderableType

    from sdtui.terminal.drawing import Box, Piece

PASSING_SECONDS = 0.4
"""What a preview may take on the link: the next one is on its way."""
FINAL_SECONDS = 6.0
"""What a picture that stays may take before colours are saved."""
CELL_BYTES, PIXEL_BYTES = 40.0, 0.5
"""A half block in true colours, and a pixel of a sixel preview."""
SETTLING_SECONDS = 0.1
"""What Textual draws over a picture comes in several goes: the picture waits for the last."""
ASKING_SECONDS = 1.0
"""How often, at most, the terminal is asked what it still has."""
PATIENCE_SECONDS = 5.0
"""After that an acknowledgement is lost: tmux drops what is meant for a window out of sight."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What a canvas wants to be seen, and in which cells of the screen.

    ``painted`` counts how often Textual has drawn over these cells: whatever was there is gone.
    """

    image: Image.Image
    passing: bool
    region: Region
    painted: int


class Showing(Protocol):
    """A canvas, as the projector knows it."""

    def sight(self) -> Sight | None:
        """What it wants seen now; None while it shows nothing, or lies under something."""

    def draw_cells(self) -> bool:
        """Draw the newest picture as text; False when it has been."""

    def redraw(self) -> None:
        """Draw everything anew: the way pictures are shown has changed."""

    def notice(self, written: Callable[[Region], bool]) -> None:
        """Textual has written to the screen; ``written`` tells whether into a region."""


@runtime_checkable
class Projecting(Protocol):
    """An app with a projector."""

    projector: Projector


def _nowhere(_: Region) -> bool:
    return False


class Projector:
    """``wanted`` is a protocol, or ``auto``. Without a terminal it leaves pictures to Textual's text."""

    def __init__(
        self,
        dialogue: Dialogue | None = None,
        wanted: TerminalImages = "auto",
        depth: ColourDepth = "truecolor",
    ) -> None:
        self.choice = Choice("halfblock" if wanted == "auto" else wanted, "nothing else is known")
        self.pace = Pace()
        self.frame = Frame()
        self.cell: CellSize | None = None
        self._dialogue = dialogue or Dialogue()
        self._wanted, self._depth = wanted, depth
        self._write: Callable[[str], None] | None = None
        self._screen = -1
        self._written = 0
        self._task: asyncio.Task[None] | None = None
        self._woken, self._answered, self._drawn = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._canvases: list[Showing] = []
        self._sent: dict[Showing, Sight] = {}
        self._identities: dict[Showing, int] = {}
        self._held: set[int] = set()
        """The pictures that the terminal keeps."""
        start = os.getpid() % len(IDENTITIES)  # another studio in the same terminal has other pictures
        self._free = deque(IDENTITIES[start:] + IDENTITIES[:start])
        self._encoded: tuple[Image.Image, object, list[Piece]] | None = None
        self._asked_beyond = False
        self._asked_at = 0.0

    # ---- the terminal -----------------------------------------------------------------------

    def open(self, write: Callable[[str], None], screen: int) -> None:
        """The driver has started, or started again: nothing of what was sent is there any more.

        ``write`` is the driver's, ``screen`` the terminal's file descriptor.
        """
        self._write, self._screen = write, screen
        self.frame.forget()
        self._sent.clear()
        self._held.clear()
        self._decide()
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._woken.set()

    def wrote(self, characters: int) -> None:
        """The driver has written so much, whoever wanted it."""
        self._written += characters

    def close(self) -> None:
        """The driver is about to stop: take the pictures away, and see that no answer is left over."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._write is None:
            return
        for identity in self._held:
            self._send(delete(identity))
        self._held.clear()
        if not self._dialogue.mute:
            self._write(self._dialogue.ask_ready().decode("ascii"))
        self._write = None

    def hear(self, answers: Iterable[Answer]) -> None:
        """The terminal has answered."""
        heard = list(answers)
        if any(isinstance(answer, Ready) for answer in heard):
            self._answered.set()
        lost = {answer.identity for answer in heard if isinstance(answer, Graphics) and answer.text != "OK"}
        for canvas in [canvas for canvas, identity in self._identities.items() if identity in lost]:
            self._sent.pop(canvas, None)
            self._woken.set()
        if any(isinstance(answer, Attributes) for answer in heard):
            self._decide()

    @property
    def through_text(self) -> bool:
        """Whether a picture is drawn at once, as text: there is no terminal to wait for."""
        return self.choice.protocol in ("halfblock", "none") and self._write is None

    def room(self, columns: int, rows: int) -> tuple[int, int]:
        """The box for a preview that is sent cell by cell or pixel by pixel, as the link takes it."""
        known = self._write is not None and self.pace.delay is not None
        if not known or self.choice.protocol not in ("halfblock", "sixel"):
            return columns, rows
        cell = self.cell or CellSize(10, 20)
        each = CELL_BYTES if self.choice.protocol == "halfblock" else cell.width * cell.height * PIXEL_BYTES
        possible = self.pace.within(PASSING_SECONDS) / (each * columns * rows)
        # A few fixed sizes: a picture that grew and shrank with every measurement would be no rest.
        scale = next((step for step in (1.0, 0.7, 0.5, 0.35) if step * step <= possible), 0.25)
        return max(1, round(columns * scale)), max(1, round(rows * scale))

    @property
    def _inside_tmux(self) -> bool:
        return brand_of(self._dialogue.report, os.environ)[0] == "tmux"

    def _decide(self) -> None:
        """Choose again, with what is known now."""
        report = self._dialogue.report
        self.cell = cell_of_window(self._screen) or report.cell
        report = replace(report, cell=self.cell)
        inside_tmux = self._inside_tmux
        if inside_tmux and report.complete and not self._asked_beyond and self._write is not None:
            self._asked_beyond = True
            self._write(self._dialogue.probe_beyond_tmux().decode("ascii"))
        beyond = self._dialogue.beyond
        if self._wanted == "auto":
            choice = choose(report, os.environ, self._depth, beyond)
        else:
            choice = Choice(self._wanted, "it was asked for", inside_tmux and self._wanted == "kitty")
        if beyond is not None and beyond.cell is not None and self.cell is None:
            self.cell = beyond.cell
        if choice.protocol != self.choice.protocol:
            self._sent.clear()
            self._held.clear()
            for canvas in self._canvases:
                canvas.redraw()
        self.choice = choice
        self._woken.set()

    # ---- canvases ---------------------------------------------------------------------------

    def add(self, canvas: Showing) -> None:
        """A canvas has come."""
        self._canvases.append(canvas)
        self._identities[canvas] = self._free.popleft()

    def remove(self, canvas: Showing) -> None:
        """A canvas is gone, and its picture with it."""
        self._canvases.remove(canvas)
        identity = self._identities.pop(canvas)
        self._free.append(identity)
        self._sent.pop(canvas, None)
        if identity in self._held:
            self._held.remove(identity)
            self._send(delete(identity))

    def identity(self, canvas: Showing) -> int:
        """The number of its picture."""
        return self._identities.get(canvas, IDENTITIES[0])

    def forget(self) -> None:
        """The terminal no longer shows what it was sent, and may be another."""
        self.frame.forget()
        self._sent.clear()
        self._ask_anew()
        self._woken.set()

    def resized(self) -> None:
        """The terminal has moved or cut what was there, or is another around the same tmux."""
        self.frame.forget()
        self.returned(anew=True)

    def returned(self, anew: bool) -> None:
        """Somebody has come back: ask whether the pictures are still there; at most once a second.

        ``anew`` says that the window is, too: around tmux it may be another terminal.
        """
        now = time.monotonic()
        if self._write is None or now < self._asked_at + ASKING_SECONDS or not (anew or self._inside_tmux):
            return
        self._asked_at = now
        if anew and self._inside_tmux:
            self._ask_anew()
        for canvas, sight in self._sent.items():
            if self._identities[canvas] in self._held:
                self._send(ask(self._identities[canvas], *sight.region.size))

    def _ask_anew(self) -> None:
        """Ask the terminal again what it is; tmux stays tmux, so the one around it."""
        if self._write is not None and not self._dialogue.mute:
            question = self._dialogue.probe_beyond_tmux() if self._inside_tmux else self._dialogue.probe()
            self._write(question.decode("ascii"))

    def changed(self) -> None:
        """A canvas has something new to show, or shows it elsewhere."""
        self._woken.set()

    def displayed(self, change: RenderableType | None) -> None:
        """Textual has drawn this."""
        written = change.writes if isinstance(change, Change) else _nowhere
        for canvas in tuple(self._canvases):
            canvas.notice(written)
        self._drawn.set()
        self._woken.set()

    # ---- one picture after the other --------------------------------------------------------

    async def _serve(self) -> None:
        await self._acknowledged()
        await self._drawn.wait()
        await self._acknowledged()  # the first frame tells what the link is like
        while True:
            await self._woken.wait()
            self._woken.clear()
            for canvas in tuple(self._canvases):
                await self._bring(canvas)

    async def _bring(self, canvas: Showing) -> None:
        sight, before = canvas.sight(), self._sent.get(canvas)
        if sight is None or self._write is None or (before and self._same(sight, before)):
            return
        match self.choice.protocol:
            case "none":
                arrived = True
            case "halfblock":
                arrived = await self._bring_text(canvas)
            case "kitty" if before and sight.image is before.image and sight.passing == before.passing:
                self._send(place(self.identity(canvas), *sight.region.size))
                arrived = True
            case _:
                drawn_over = before is None or sight.image is before.image
                arrived = await self._bring_picture(canvas, sight, SETTLING_SECONDS if drawn_over else 0.0)
        if arrived:
            self._sent[canvas] = sight

    def _same(self, sight: Sight, before: Sight) -> bool:
        """Whether what was sent before still shows what is wanted."""
        if sight.image is not before.image or sight.passing != before.passing:
            return False
        match self.choice.protocol:
            case "kitty":
                return sight.region.size == before.region.size
            case "sixel" | "iterm2":
                return sight.region == before.region and sight.painted == before.painted
            case _:
                return True

    async def _bring_text(self, canvas: Showing) -> bool:
        """Textual draws; the next preview waits until this one is through."""
        self._drawn.clear()
        if canvas.draw_cells():
            await self._drawn.wait()
            await self._acknowledged()
        return True

    async def _bring_picture(self, canvas: Showing, sight: Sight, settling: float) -> bool:
        """Encode and send; False when the canvas wants something else before all of it is there."""
        loop = asyncio.get_running_loop()
        settled = loop.time() + settling
        pieces = await self._pieces(sight, self._box(canvas, sight))
        whole = self.choice.protocol == "kitty"  # what has begun there must be ended
        if whole:
            self._held.add(self.identity(canvas))
        else:
            await asyncio.sleep(max(0.0, settled - loop.time()))
        for number, piece in enumerate(pieces):
            now = canvas.sight()
            if (number == 0 or not whole) and (now is None or not self._same(now, sight)):
                self._woken.set()
                return False
            if not whole:
                self.frame.forget(sight.region)
            self._write_bytes(piece.at(sight.region.x, sight.region.y))
            if not await self._acknowledged():
                return False
        return True

    def _box(self, canvas: Showing, sight: Sight) -> Box:
        from sdtui.terminal.drawing import Box

        return Box(*sight.region.size, self.cell, self.identity(canvas), self.choice.through_tmux)

    async def _pieces(self, sight: Sight, box: Box) -> list[Piece]:
        """The picture for a box, encoded in a thread; kept, for when Textual has drawn over it."""
        from sdtui.terminal.drawing import draw, preview

        protocol = self.choice.protocol
        assert protocol in ("kitty", "iterm2", "sixel")
        key = (sight.passing, box, protocol)
        kept = self._encoded
        if kept and kept[0] is sight.image and kept[1] == key:
            return kept[2]
        if sight.passing:
            budget = self.pace.within(PASSING_SECONDS)
            pieces = await asyncio.to_thread(preview, protocol, sight.image, box, budget)
        else:
            budget = self.pace.within(FINAL_SECONDS)
            pieces = await asyncio.to_thread(draw, protocol, sight.image, box, self.pace.slice, budget)
        self._encoded = sight.image, key, pieces
        return pieces

    async def _acknowledged(self) -> bool:
        """Wait until what was written has been worked off; False when the terminal no longer says so."""
        if self._write is None:
            return False
        size, self._written = self._written, 0
        if self._dialogue.mute:
            await asyncio.sleep(size / self.pace.rate)
            return True
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._write(self._dialogue.ask_ready(self.choice.through_tmux).decode("ascii"))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS + 2 * size / self.pace.rate):
                while self._dialogue.ready_due:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            self._dialogue.abandon_ready()
            return False
        self.pace.took(size, loop.time() - start)
        return True

    def _send(self, command: bytes) -> None:
        """Write a command of kitty's, which tmux may have to hand on."""
        self._write_bytes(through_tmux(command) if self.choice.through_tmux else command)

    def _write_bytes(self, data: bytes) -> None:
        if self._write is not None:
            self._write(data.decode("ascii"))
