"""An engine made of messages: what a test puts in, the studio hears; what it says, the test reads."""

from __future__ import annotations

import queue

from sdtui.engine.client import EngineLost
from sdtui.engine.protocol import ClientMessage, EngineMessage, Memory, Snapshot, Submit, Watch

GB = 2**30
MEMORY = Memory(engine=2 * GB, engine_peak=3 * GB, machine=9 * GB, machine_total=24 * GB)


def snapshot(**changes: object) -> Snapshot:
    """An idle engine, warm with the starter, unless told otherwise."""
    fields = {
        "version": 1,
        "pid": 1,
        "worker_pid": 2,
        "warmth": "warm",
        "model": "starter",
        "runtime": "portable bf16",
        "jobs": [],
        "memory": MEMORY,
    }
    return Snapshot(**(fields | changes))  # type: ignore[arg-type]


class FakeEngine:
    """A connection that is always there. ``None`` in the inbox is the loss of it."""

    def __init__(self, first: Snapshot | None = None) -> None:
        self.first = first or snapshot()
        self.sent: list[ClientMessage] = []
        self._inbox: queue.SimpleQueue[EngineMessage | None] = queue.SimpleQueue()

    def connect(self) -> FakeEngine:
        """What the studio calls to reach an engine."""
        return self

    def say(self, *messages: EngineMessage | None) -> None:
        """Say this to the studio; None hangs up."""
        for message in messages:
            self._inbox.put(message)

    @property
    def submitted(self) -> list[Submit]:
        """The jobs the studio asked for."""
        return [message for message in self.sent if isinstance(message, Submit)]

    # ---- the studio's side --------------------------------------------------------------------

    def send(self, message: ClientMessage) -> None:
        self.sent.append(message)
        if isinstance(message, Watch):
            self._inbox.put(self.first)

    def receive(self, timeout: float) -> EngineMessage | None:
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if message is None:
            raise EngineLost
        return message

    def close(self) -> None:
        pass
