"""The worker: the one process that computes. The host starts it and gives it one job after another.

It has a single thread, because the Core ML binding never releases Python's interpreter lock: orders
are looked at between two steps. When the host is gone, so is the worker.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING

from sdtui.diffusion.errors import Cancelled as Interrupted
from sdtui.diffusion.events import PipelineEvent
from sdtui.engine.framing import Unframer, frame
from sdtui.engine.protocol import (
    Advanced,
    Cancel,
    Cancelled,
    Failed,
    Failure,
    Finished,
    Order,
    Result,
    Submit,
    WorkerMessage,
)
from sdtui.errors import SdtuiError
from sdtui.settings import places

if TYPE_CHECKING:
    from sdtui.engine.job import Maker

NICENESS = 5
"""What computes gives way to what people type in; alone on a machine it loses nothing by it."""

log = logging.getLogger(__name__)


class HostLost(Exception):  # noqa: N818 — nobody made an error
    """The host is gone: nobody waits for the picture."""


class Worker:
    """Takes orders from ``connection`` and has ``maker`` carry them out."""

    def __init__(self, connection: socket.socket, maker: Maker) -> None:
        self._connection = connection
        self._maker = maker
        self._unframer: Unframer[Order] = Unframer(Order)
        self._orders: deque[Submit] = deque()
        self._cancelled: set[str] = set()

    def run(self) -> None:
        """Work until the host is gone, which raises :class:`HostLost`."""
        while True:
            while not self._orders:
                self._listen()
            order = self._orders.popleft()
            self._tell(self._carry_out(order))
            self._cancelled.discard(order.job)

    def _carry_out(self, order: Submit) -> Finished | Failed | Cancelled:
        def on_event(event: PipelineEvent) -> None:
            self._tell(Advanced(order.job, event))

        def cancelled() -> bool:
            while select.select([self._connection], [], [], 0)[0]:
                self._listen()
            return order.job in self._cancelled

        try:
            record = self._maker.make(order.job, order.request, on_event, cancelled)
        except Interrupted:
            return Cancelled(order.job)
        except SdtuiError as error:
            return Failed(order.job, Failure(error.what, error.why, error.remedy))
        except HostLost:
            raise
        except Exception as error:
            log.exception("job %s failed", order.job)
            return Failed(order.job, unexpected(error))
        return Finished(order.job, record.request, Result.of(record))

    def _listen(self) -> None:
        """Read what the host has sent, waiting for it where nothing has come yet."""
        try:
            data = self._connection.recv(1 << 16)
        except OSError as error:
            raise HostLost from error
        if not data:
            raise HostLost
        for order in self._unframer.feed(data):
            match order:
                case Submit():
                    self._orders.append(order)
                case Cancel(job=job):
                    self._cancelled.add(job)

    def _tell(self, message: WorkerMessage) -> None:
        try:
            self._connection.sendall(frame(message))
        except OSError as error:
            raise HostLost from error


def unexpected(error: Exception) -> Failure:
    """An error that nobody foresaw, in one line; the log has the traceback."""
    detail = (str(error).strip().splitlines() or [""])[0]
    why = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    return Failure("the picture was not made", why, f"generate again; {places().log} says more")


def main() -> None:
    faulthandler.enable()
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s worker: %(message)s")
    from sdtui.engine.job import Maker

    try:
        Worker(socket.socket(fileno=int(sys.argv[1])), Maker()).run()
    except HostLost:
        log.info("the host is gone")


if __name__ == "__main__":
    main()
