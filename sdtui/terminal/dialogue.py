"""What one terminal was asked, what it has answered, and what is still to come.

Between questions and answers lie the link's delay and whatever a person types. An answer that nobody
waits for any more would be typed into a prompt, the studio's or the shell's; so every question is
remembered until it is answered, however late that is.
"""

from __future__ import annotations

import threading
import time

from sdtui.terminal.answers import Answer, Attributes, Ready, Report, sift
from sdtui.terminal.questions import PROBE, READY, through_tmux


class Dialogue:
    """Questions may be asked in one thread while answers are heard in another."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._own, self._hearing = Report(), Report()
        self._beyond: Report | None = None
        self._probes = self._probes_beyond = 0
        self._ready_wanted = 0
        self._held = b""
        self._heard_any = False
        self._asked_at = 0.0
        self._abandoned = False

    # ---- asking -----------------------------------------------------------------------------

    def probe(self) -> bytes:
        """The batch of questions for this terminal."""
        self._ask(probes=1)
        return PROBE

    def probe_beyond_tmux(self) -> bytes:
        """The same for the terminal around tmux; there may never be an answer."""
        with self._changed:
            self._probes_beyond += 1
        return through_tmux(PROBE)

    def ask_ready(self, wrapped: bool = False) -> bytes:
        """The question whether everything sent before it has been worked off."""
        self._ask(ready=1)
        return through_tmux(READY) if wrapped else READY

    def abandon_ready(self) -> None:
        """It is taken that this answer was lost; should it come yet, nobody types it."""
        with self._changed:
            self._ready_wanted, self._abandoned = 0, True

    def _ask(self, probes: int = 0, ready: int = 0) -> None:
        with self._changed:
            self._probes += probes
            self._ready_wanted += ready
            self._asked_at = time.monotonic()

    # ---- hearing ----------------------------------------------------------------------------

    def hear(self, data: bytes) -> tuple[bytes, list[Answer]]:
        """Split what was read into what was typed and answers; the beginning of an answer is kept back.

        Whole answers are none a person could type, due or not; only a beginning may be a key.
        """
        with self._changed:
            typed, answers, held = sift(self._held + data)
            due = self.open or self._probes_beyond or self._abandoned
            self._held = held if due else b""
            typed += b"" if self._held else held
            for answer in answers:
                self._take(answer)
            self._changed.notify_all()
            return typed, answers

    def release(self) -> bytes:
        """Nothing came after the beginning that was kept back: it was typed."""
        with self._changed:
            held, self._held = self._held, b""
            return held

    @property
    def holding(self) -> bool:
        """Whether the beginning of an answer is kept back."""
        return bool(self._held)

    def _take(self, answer: Answer) -> None:
        self._heard_any = True
        if isinstance(answer, Ready):
            self._ready_wanted, self._abandoned = max(0, self._ready_wanted - 1), False
            return
        self._hearing = self._hearing.hearing([answer])
        if isinstance(answer, Attributes):
            heard, self._hearing = self._hearing, Report()
            if self._probes:
                self._probes -= 1
                self._own = heard
            else:
                self._probes_beyond = max(0, self._probes_beyond - 1)
                self._beyond = heard

    # ---- what is known ----------------------------------------------------------------------

    @property
    def open(self) -> int:
        """How many answers are due that are sure to come."""
        return self._probes + self._ready_wanted

    @property
    def ready_due(self) -> int:
        """How many of them say that everything has been worked off."""
        return self._ready_wanted

    @property
    def mute(self) -> bool:
        """Whether the terminal has answered nothing at all so far."""
        return not self._heard_any

    @property
    def report(self) -> Report:
        """What this terminal answered last, or so far."""
        return self._own if self._own.complete else self._hearing

    @property
    def beyond(self) -> Report | None:
        """What the terminal around tmux answered last; None before it has, or if it cannot."""
        return self._beyond

    def patience(self, seconds: float) -> float:
        """What is left of this time since the last question; 0 when nothing is due."""
        return max(0.0, self._asked_at + seconds - time.monotonic()) if self.open else 0.0

    def settle(self, seconds: float) -> bool:
        """Wait until every answer has been heard; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.open, seconds)
