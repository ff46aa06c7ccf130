"""Talking to the engine, and starting it where there is none. Light: the interface imports this."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections import deque
from pathlib import Path

from sdtui import __version__
from sdtui.engine.errors import EngineError, EngineLost, NoEngine
from sdtui.engine.framing import Unframer, frame
from sdtui.engine.launch import Launch
from sdtui.engine.protocol import VERSION, ClientMessage, EngineMessage, Hello, Stop
from sdtui.settings import places

__all__ = ["EngineClient", "EngineError", "EngineLost", "NoEngine"]

POLL_SECONDS = 0.02


class EngineClient:
    """A connection to the engine. Make one with :meth:`connect`.

    Any thread may send; one thread receives; any thread may close.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        self._unframer: Unframer[EngineMessage | Hello] = Unframer(EngineMessage | Hello)
        self._inbox: deque[EngineMessage | Hello] = deque()

    @classmethod
    def connect(cls, *, start: bool = True, timeout: float = 10.0) -> EngineClient:
        """Reach the engine within ``timeout`` seconds; with ``start``, start it where none runs.

        An idle engine of another version is replaced. Raises :class:`EngineError`.
        """
        here = places()
        deadline = time.monotonic() + timeout
        launch: Launch | None = None
        while True:
            client = cls._reach(here.socket, deadline)
            if client is not None:
                return client
            if not start:
                raise NoEngine
            if launch is None:
                launch = Launch(here)
            launch.check()
            if time.monotonic() > deadline:
                raise EngineError(
                    "the engine does not answer",
                    f"{timeout:g} s have passed",
                    f"try again, or see {here.log}",
                )
            if launch.over:  # another engine holds the lock: it is starting too, or leaving
                launch = None
            time.sleep(POLL_SECONDS)

    @classmethod
    def _reach(cls, address: Path, deadline: float) -> EngineClient | None:
        """A client of the engine at ``address``; None when nobody is there, or not for long."""
        client, hello = cls._greeted(address, deadline)
        if client is None or hello is None:
            return None
        if (hello.version, hello.release) == (VERSION, __version__):
            return client
        try:
            if hello.busy:
                raise EngineError(
                    "the engine cannot be used",
                    f"it is of version {hello.release} and at work",
                    "wait until it has finished, or run `sdtui engine stop`",
                )
            _end(hello.pid)
            client._await_end(deadline)
        finally:
            client.close()
        return None

    @classmethod
    def _greeted(cls, address: Path, deadline: float) -> tuple[EngineClient | None, Hello | None]:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(address))
        except OSError:
            connection.close()
            return None, None
        client = cls(connection)
        with contextlib.suppress(EngineLost):
            hello = client._receive(max(0.0, deadline - time.monotonic()))
            if isinstance(hello, Hello):
                return client, hello
        client.close()
        return None, None

    @classmethod
    def hello(cls, timeout: float = 5.0) -> Hello | None:
        """What the engine that runs says of itself, of whatever version; None where none answers."""
        client, hello = cls._greeted(places().socket, time.monotonic() + timeout)
        if client is not None:
            client.close()
        return hello

    @classmethod
    def stop(cls, timeout: float = 10.0) -> bool:
        """End the engine that runs, of whatever version, and all its work; False when none runs.

        Raises :class:`EngineError` when it does not end in ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        client, hello = cls._greeted(places().socket, deadline)
        if client is None or hello is None:
            return False
        with contextlib.closing(client):
            if hello.version == VERSION:
                client.send(Stop())
            else:
                _end(hello.pid)
            if not client._await_end(deadline):
                raise EngineError(
                    "the engine does not stop", f"{timeout:g} s have passed", f"run `kill -9 {hello.pid}`"
                )
        return True

    def _await_end(self, deadline: float) -> bool:
        """Wait until the engine is gone; False when it is still there at ``deadline``."""
        with contextlib.suppress(OSError):
            while (left := deadline - time.monotonic()) > 0:
                if self._selector.select(left) and not self._connection.recv(1 << 16):
                    return True
            return False
        return True

    def send(self, message: ClientMessage) -> None:
        """Say something to the engine. Raises :class:`EngineLost` when it is gone."""
        try:
            with self._sending:
                self._connection.sendall(frame(message))
        except OSError as error:
            raise EngineLost from error

    def receive(self, timeout: float | None = None) -> EngineMessage | None:
        """What the engine says next; None when it says nothing for ``timeout`` seconds.

        Raises :class:`EngineLost` when it is gone, or the connection was closed.
        """
        message = self._receive(timeout)
        assert not isinstance(message, Hello)
        return message

    def _receive(self, timeout: float | None) -> EngineMessage | Hello | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._receiving:
            while not self._inbox:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                try:
                    if not self._selector.select(left):
                        return None
                    data = self._connection.recv(1 << 16)
                except (OSError, ValueError) as error:
                    raise EngineLost from error
                if not data:
                    raise EngineLost
                self._inbox.extend(self._unframer.feed(data))
            return self._inbox.popleft()

    def close(self) -> None:
        """Hang up; a thread that waits in :meth:`receive` gets :class:`EngineLost`."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes who waits, and so frees the lock
        with self._receiving:
            self._selector.close()
            self._connection.close()


def _end(pid: int) -> None:
    """Ask the engine to leave; what it has not finished, the next one takes up."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
