"""A lock between processes, which the system takes back from one that is killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """Shared by all who use something, or one's alone who changes it. ``file`` stays, empty.

    Raises OSError where the file cannot be made.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor: int | None = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        """Hold it with others; waits for one who has it alone."""
        fcntl.flock(self._held(), fcntl.LOCK_SH)

    def own(self) -> None:
        """Hold it alone; waits for all others."""
        fcntl.flock(self._held(), fcntl.LOCK_EX)

    def try_own(self) -> bool:
        """Hold it alone, unless somebody else has it. What was shared before may be lost by trying."""
        try:
            fcntl.flock(self._held(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go; it cannot be held again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _held(self) -> int:
        if self._descriptor is None:
            raise ValueError("the lock was released")
        return self._descriptor
