"""A child process that is told one thing to do and tells how far it is: both ends of the conversation.

A line of JSON on its stdin says what to do, lines of JSON on its stdout are events, the last of which is
what became of it. When its stdin closes, because somebody stopped it or because we are gone, it ends.
Light: what computes is imported by the child's own module.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any, Generic, TypeVar

import msgspec

from sdtui.bench.errors import MeasurementError
from sdtui.conversion import Stage
from sdtui.errors import SdtuiError
from sdtui.files import reason
from sdtui.spawn import environment, python

STOP_SECONDS = 2.0
"""How long a child that was asked to stop may take before it is killed: it has nothing to lose."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An SdtuiError, on its way from the child."""

    what: str
    why: str
    remedy: str


Result = TypeVar("Result", bound=msgspec.Struct)


class Child(Generic[Result]):
    """A process that runs ``module`` on ``order``; its events are stages, and a ``result`` at the end.

    Raises :class:`MeasurementError` when it cannot be started.
    """

    def __init__(
        self,
        module: str,
        order: msgspec.Struct,
        result: type[Result],
        complaints: int | IO[str] = subprocess.DEVNULL,
    ) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Stage | Failed | result)
        self._result = result
        try:
            self._process = subprocess.Popen(
                python(module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=environment() | {"TQDM_DISABLE": "1"},  # bars that libraries draw
                start_new_session=True,  # an interrupt typed in the terminal is ours to hear
            )
        except OSError as error:
            raise MeasurementError("nothing was measured", reason(error), "try again") from error
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once: result() says how
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def result(self, on_stage: Callable[[Stage], None] = lambda _: None) -> Result:
        """What it found out, once it has; ``on_stage`` hears how far it is.

        Raises :class:`MeasurementError` as the child did, or telling how it died.
        """
        for event in self._events():
            if isinstance(event, self._result):
                return event
            if isinstance(event, Failed):
                raise MeasurementError(event.what, event.why, event.remedy)
            on_stage(event)
        status = self._process.wait()
        died = f"signal {-status}" if status < 0 else f"exit status {status}"
        if status == -signal.SIGKILL:
            died += ", perhaps because memory ran out"
        raise MeasurementError(
            "nothing was measured",
            f"the process that did it ended ({died})",
            "try a smaller model or --debug",
        )

    def close(self) -> None:
        """End it, and whatever it had started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()

    def _events(self) -> Iterator[Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(msgspec.DecodeError):  # what a library printed
                yield self._decoder.decode(line)


Order = TypeVar("Order", bound=msgspec.Struct)
Tell = Callable[[Stage], None]


def serve(order: type[Order], work: Callable[[Order, Tell], msgspec.Struct]) -> int:
    """The child's side: read the order, do the ``work``, tell its result. Returns the exit status."""
    try:
        wanted = msgspec.json.decode(sys.stdin.buffer.readline(), type=order)
        threading.Thread(target=_die_with_stdin, daemon=True).start()
        _tell(work(wanted, _tell))
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    except SdtuiError as error:
        _tell(Failed(error.what, error.why, error.remedy))
        return 1
    except msgspec.DecodeError as error:
        _tell(Failed("nothing was measured", f"the order cannot be read: {error}", "update sdtui"))
        return 1
    return 0


def _die_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1 << 16):  # sys.stdin would be locked when the program ends
        pass
    os._exit(130)


def _tell(event: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()
