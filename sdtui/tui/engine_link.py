"""The one thread that talks to the engine, so that the interface never waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from sdtui.engine.protocol import ClientMessage, EngineMessage, Failure, Watch
from sdtui.errors import SdtuiError

RECEIVE_SECONDS = 0.05
"""How long the thread listens before it looks for something to send: the delay of a key."""


class Connection(Protocol):
    """What the link needs of an engine client."""

    def send(self, message: ClientMessage) -> None:
        """Hand a message over. Raises :class:`SdtuiError` when the engine is gone."""

    def receive(self, timeout: float) -> EngineMessage | None:
        """The next message, None after ``timeout`` seconds. Raises :class:`SdtuiError` likewise."""

    def close(self) -> None:
        """Let go of the connection."""


class Connecting(msgspec.Struct, frozen=True):
    """The engine is being sought, and started where there is none."""


class Connected(msgspec.Struct, frozen=True):
    """The engine answers; a Snapshot follows."""


class Lost(msgspec.Struct, frozen=True):
    """The engine is gone, or did not come. The next message sent brings it back."""

    failure: Failure


LinkEvent = Connecting | Connected | Lost | EngineMessage


class EngineLink:
    """Keeps a connection as long as there is use for one.

    ``connect`` blocks until the engine answers, and starts it where there is none. ``deliver`` is
    called from the link's thread and must not block. The thread is a daemon: a start that hangs must
    not keep a person from leaving.
    """

    def __init__(self, connect: Callable[[], Connection], deliver: Callable[[LinkEvent], object]) -> None:
        self._connect = connect
        self._deliver = deliver
        self._outbox: queue.SimpleQueue[ClientMessage | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine link", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def send(self, message: ClientMessage) -> None:
        """Send when connected, in order; after a loss this connects anew."""
        self._outbox.put(message)

    def stop(self) -> None:
        """Hang up after what is still to be sent."""
        self._outbox.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until everything is sent and hung up; False when that takes longer."""
        if self._thread.ident is None:  # the window was closed before it had begun
            self.start()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        unsent: list[ClientMessage] = []
        while True:
            self._deliver(Connecting())
            try:
                self._talk(unsent)
                return
            except SdtuiError as error:
                failure = Failure(error.what, error.why, error.remedy)
            except Exception as error:  # whatever it was, a silent thread would look like a slow engine
                failure = Failure("the engine cannot be reached", f"{error!r}", "generate again")
            # The loss ends what is still to be sent, as it ends the jobs in the engine.
            hung_up = self._discard()
            self._deliver(Lost(failure))
            if hung_up or (message := self._outbox.get()) is None:
                return
            unsent = [message]

    def _talk(self, unsent: list[ClientMessage]) -> None:
        """Pass messages both ways until told to hang up. Raises what the connection raises."""
        connection = self._connect()
        try:
            self._deliver(Connected())
            for message in (Watch(), *unsent):
                connection.send(message)
            while True:
                while not self._outbox.empty():
                    outgoing = self._outbox.get()
                    if outgoing is None:
                        return
                    connection.send(outgoing)
                incoming = connection.receive(RECEIVE_SECONDS)
                if incoming is not None:
                    self._deliver(incoming)
        finally:
            connection.close()

    def _discard(self) -> bool:
        """Empty the outbox; True when a hang-up was in it."""
        hung_up = False
        while not self._outbox.empty():
            hung_up |= self._outbox.get() is None
        return hung_up
