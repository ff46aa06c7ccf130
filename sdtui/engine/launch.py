"""Starting the engine so that it outlives whoever started it."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from sdtui.engine.errors import EngineError
from sdtui.files import reason
from sdtui.settings import Places
from sdtui.spawn import environment, python

LOG_LIMIT = 2**20
"""Bytes from which on the engine's log makes room for a new one."""


class Launch:
    """An engine on its way up, in a session of its own: no terminal's end reaches it."""

    def __init__(self, places: Places) -> None:
        """Start it. Raises :class:`EngineError` when that is impossible."""
        self._log = places.log
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
                self._log.replace(self._log.with_suffix(".log.1"))
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    python("sdtui.engine.host"),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineError(
                "the engine cannot be started", reason(error), f"make {self._log.parent} writable"
            ) from error
        # Somebody must take note of its end, or it stays in the process table while we live.
        threading.Thread(target=self._process.wait, daemon=True).start()

    @property
    def over(self) -> bool:
        """It left again: because another engine was quicker, or because it failed."""
        return self._process.poll() is not None

    def check(self) -> None:
        """Raise :class:`EngineError` when it failed to start."""
        if self._process.poll():
            raise EngineError("the engine cannot be started", _last_line(self._log), f"see {self._log}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it ended at once")
