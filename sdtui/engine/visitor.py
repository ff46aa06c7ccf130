"""The host's side of one client."""

from __future__ import annotations

import asyncio
import contextlib

from sdtui.engine.framing import frame
from sdtui.engine.protocol import Conversion, EngineMessage, Gauge, Hello, Progress

SLOW = 2**20
"""Bytes unsent from which on a client is spared what will be outdated anyway."""

STUCK = 2**25
"""Bytes unsent from which on a client is given up."""

LEAVE_SECONDS = 1.0


class Visitor:
    """A client. One that does not listen, because its terminal is suspended, costs little memory."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.watching = False

    def send(self, message: EngineMessage | Hello) -> None:
        """Say something, without waiting until it is heard."""
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent > STUCK:
            self._writer.transport.abort()
        elif unsent < SLOW or not _outdated_soon(message):
            self._writer.write(frame(message))

    async def leave(self) -> None:
        """Hang up, once all is heard, or after a moment."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), LEAVE_SECONDS)


def _outdated_soon(message: EngineMessage | Hello) -> bool:
    if isinstance(message, Conversion):
        return message.state == "running"
    return isinstance(message, Progress | Gauge)
