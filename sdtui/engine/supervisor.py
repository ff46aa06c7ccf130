"""The host's side of its one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections import deque
from pathlib import Path

from sdtui.child import how_it_ended
from sdtui.engine.framing import FramingError, Unframer, frame
from sdtui.engine.protocol import Failure, Order, WorkerMessage
from sdtui.spawn import environment, python

END_SECONDS = 3.0
"""How long a worker that was asked to leave may take."""


class WorkerProcess:
    """A running worker. Make one with :meth:`start`."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._unframer: Unframer[WorkerMessage] = Unframer(WorkerMessage)
        self._inbox: deque[WorkerMessage] = deque()

    @classmethod
    async def start(cls) -> WorkerProcess:
        """Start a worker that writes its complaints where this process writes its own."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *python("sdtui.engine.worker", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                stderr=sys.stderr,
                pass_fds=[theirs.fileno()],
                env=environment(),
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._reader.at_eof()

    def send(self, order: Order) -> None:
        """Tell the worker what to do; one that is gone is noticed by :meth:`receive`."""
        self._writer.write(frame(order))

    async def receive(self) -> WorkerMessage | None:
        """What the worker says next; None when it is gone."""
        with contextlib.suppress(OSError, FramingError):
            while not self._inbox and (data := await self._reader.read(1 << 16)):
                self._inbox.extend(self._unframer.feed(data))
        return self._inbox.popleft() if self._inbox else None

    def kill(self) -> None:
        """End it at once, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> int:
        """Let it go, or kill it when it does not; returns its exit status as subprocess gives it."""
        self._writer.close()
        try:
            return await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except TimeoutError:
            self.kill()
            return await self._process.wait()


def why_it_died(status: int, log: Path) -> Failure:
    """What to tell a person whose picture was lost with the worker."""
    killed = status == -signal.SIGKILL
    more = "a smaller model needs less memory" if killed else f"{log} says more"
    return Failure(
        what="the picture was not made",
        why=f"the process that made it {how_it_ended(status)}",
        remedy=f"generate again; {more}",
    )
