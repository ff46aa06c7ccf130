"""A machine that does not fall asleep over a picture."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

CAFFEINATE = ("caffeinate", "-i", "-w", str(os.getpid())) if sys.platform == "darwin" else ()
"""macOS's own command: no idle sleep while it runs; it ends with this process too."""


class Awake:
    """``command`` keeps the machine awake while it runs; where there is none, nothing does."""

    def __init__(self, command: Sequence[str] = CAFFEINATE) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def kept(self) -> bool:
        """Whether the machine is kept awake now."""
        return self._process is not None and self._process.poll() is None

    def keep(self, busy: bool) -> None:
        """Keep it awake while there is something to do, and only then."""
        if busy and self._command and not self.kept:
            with contextlib.suppress(OSError):  # the picture is made all the same
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
        elif not busy and self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
