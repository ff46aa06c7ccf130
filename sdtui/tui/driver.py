"""The terminal under the studio: Textual types whatever arrives, this driver hears the answers first."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from sdtui.terminal.opening import Opening
from sdtui.tui.projector import Projector

Told = TypeVar("Told")

LISTEN_SECONDS = 0.1
AWAY_SECONDS = 10.0
"""After so long without a key, tmux may be attached to another terminal."""
FOCUSED = b"\x1b[I"
"""What a terminal sends when its window gets the focus."""
HOLD_SECONDS = 0.05
"""How long the beginning of an answer may be all there is; then it was an escape key."""
FAREWELL_SECONDS = 2.0
"""How long the end waits for answers that are due, or they would be typed into the shell."""


@runtime_checkable
class Studying(Protocol):
    """The app that this driver serves."""

    opening: Opening
    projector: Projector


class StudioDriver(LinuxDriver):
    """Textual's driver, whose input goes through the terminal's dialogue first."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        assert isinstance(app, Studying)
        self._opening, self._projector = app.opening, app.projector

    def write(self, data: str) -> None:
        self._projector.wrote(len(data))
        super().write(data)

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.attrs_before = self._opening.settings  # Textual found the quiet ones
        self._projector.open(self.write, self.fileno)

    def disable_input(self) -> None:
        if self._key_thread is not None and self._key_thread.is_alive():
            self._disable_mouse_support()
            self._projector.close()
            dialogue = self._opening.dialogue
            dialogue.settle(dialogue.patience(FAREWELL_SECONDS))
        super().disable_input()

    def run_input_thread(self) -> None:
        """Read the keyboard: answers to the projector, everything else to Textual."""
        dialogue = self._opening.dialogue
        parser, decoder = XTermParser(self._debug), getincrementaldecoder("utf-8")("replace")

        def type_in(data: bytes) -> None:
            for event in parser.feed(decoder.decode(data)):
                self.process_message(event)

        heard_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            ahead, self._opening.typed = self._opening.typed, b""
            if ahead:
                type_in(ahead)
            while not self.exit_event.is_set():
                if selector.select(HOLD_SECONDS if dialogue.holding else LISTEN_SECONDS):
                    data = os.read(self.fileno, 4096)
                    if not data:
                        break
                    typed, answers = dialogue.hear(data)
                    if answers:
                        self._call(self._projector.hear, answers)
                else:
                    typed = dialogue.release()
                if typed:
                    before, heard_at = heard_at, time.monotonic()
                    if FOCUSED in typed or heard_at > before + AWAY_SECONDS:
                        self._call(self._projector.returned, FOCUSED in typed)
                    type_in(typed)
                for event in parser.tick():
                    self.process_message(event)
        with contextlib.suppress(EOFError, ParseError):
            for _ in parser.feed(""):
                pass

    def _call(self, function: Callable[[Told], None], told: Told) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for an answer
            self._loop.call_soon_threadsafe(function, told)
