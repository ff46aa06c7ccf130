"""A program on a pseudo-terminal of its own, started and ended as a window of a terminal does it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import tty
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = str(Path(__file__).parents[1])
"""Where the studio under test is, installed or not."""


class OnTerminal:
    """``process`` reads and writes ``terminal``; what it writes is read from ``controller``.

    ``columns`` by ``rows`` cells of ``cell`` pixels, which most terminals do not tell the kernel.
    """

    def __init__(
        self,
        command: Sequence[str],
        columns: int,
        rows: int,
        cell: tuple[int, int] = (0, 0),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._cell = cell
        self.controller, self.terminal = pty.openpty()
        self._set_size(columns, rows)
        tty.setraw(self.terminal)  # what is typed ahead waits for the program and is not echoed
        variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX")}
        variables |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": ROOT}
        self.process = subprocess.Popen(
            command,
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            env={**variables, **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a person dragging its corner would."""
        self._set_size(columns, rows)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def close(self) -> None:
        """Hang up, as closing the window does, and make sure that the program is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGHUP)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for end in (self.controller, self.terminal):
            with contextlib.suppress(OSError):
                os.close(end)

    def _set_size(self, columns: int, rows: int) -> None:
        width, height = self._cell
        size = struct.pack("HHHH", rows, columns, columns * width, rows * height)
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, size)
