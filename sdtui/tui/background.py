"""Work that must not hold up a key, nor the way out: one daemon thread, one thing at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from sdtui.errors import SdtuiError
from sdtui.tui.allocator import give_back


class Background:
    """Runs what it is given, in order. ``failed`` hears of errors, from the thread."""

    def __init__(self, failed: Callable[[SdtuiError], object]) -> None:
        self._failed = failed
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def do(self, work: Callable[[], object]) -> None:
        """Run ``work`` when its turn comes."""
        self._work.put(work)

    def finish(self, seconds: float) -> None:
        """Work off what is left, for so long at most."""
        self._work.put(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while work := self._work.get():
            try:
                work()
            except SdtuiError as error:
                self._failed(error)
            except Exception as error:  # a thread that ends in silence would stop saving drafts
                self._failed(SdtuiError("something went wrong", repr(error), "the studio goes on"))
            if self._work.empty():
                give_back()
