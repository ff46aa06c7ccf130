"""Where the engine is reached, and the lock that lets only one engine be there."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO

from sdtui.files import FileError, private_folder, reason
from sdtui.settings import Places

Welcome = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Address:
    """The Unix socket at ``socket``, held by whoever holds ``lock``. Make one with :meth:`claim`."""

    def __init__(self, socket: Path, lock: IO[str]) -> None:
        self._socket = socket
        self._lock = lock  # kept open: closing the file gives the lock back
        self._server: asyncio.Server | None = None
        self._inode: int | None = None

    @classmethod
    def claim(cls, places: Places) -> Address | None:
        """The address, or None when another engine has it. Raises :class:`~sdtui.files.FileError`.

        The lock lies in the state folder because a log-out may sweep the runtime folder.
        """
        private_folder(places.runtime)
        try:
            places.state.mkdir(parents=True, exist_ok=True)
            lock = (places.state / "engine.lock").open("a")
        except OSError as error:
            raise FileError(
                f"{places.state} cannot be used", reason(error), "make it writable, or set SDTUI_HOME"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return cls(places.socket, lock)

    async def serve(self, welcome: Welcome) -> None:
        """Have ``welcome`` talk to every client; only this person's processes can become one."""
        private_folder(self._socket.parent)
        self._socket.unlink(missing_ok=True)  # a killed engine's; we hold the lock
        self._server = await asyncio.start_unix_server(welcome, self._socket)
        self._socket.chmod(0o600)
        self._inode = self._socket.stat().st_ino

    async def keep(self, welcome: Welcome) -> None:
        """Serve anew where the socket's file has vanished."""
        if not self._ours():
            self._close()
            await self.serve(welcome)

    def leave(self) -> None:
        """Welcome nobody any more."""
        if self._ours():
            self._socket.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _ours(self) -> bool:
        try:
            return self._socket.stat().st_ino == self._inode
        except OSError:
            return False
