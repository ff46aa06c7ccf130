"""Processes that are told one thing to do and tell how far they are: both ends of the conversation.

A line of JSON on a child's stdin says what to do; lines of JSON on its stdout are events, the last of
which may be how it failed. When its stdin closes, because somebody stopped it or because we are gone, it
ends. Light: what computes is imported by the child's own module.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Generic, TypeVar

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import reason
from sdtui.spawn import environment, python

POLL_SECONDS = 0.2
STOP_SECONDS = 5.0
"""How long a child that was asked to stop may take before it is killed."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An SdtuiError, on its way from a child."""

    what: str
    why: str
    remedy: str


Event = TypeVar("Event")
Errors = Callable[[str, str, str], SdtuiError]


class Child(Generic[Event]):
    """A process that runs ``module`` on ``order``, and tells ``events``. Any thread may stop it.

    ``errors`` makes what is raised here of what, why and remedy; ``nothing`` says what was not done when
    it cannot be started, which raises such an error. ``complaints`` is where it writes what is not meant
    for people, None for where this process does. It leads a process group, which ends with it.
    """

    def __init__(
        self,
        module: str,
        order: msgspec.Struct,
        *arguments: str,
        events: Any,
        errors: Errors,
        nothing: str,
        complaints: int | IO[bytes] | IO[str] | None = subprocess.DEVNULL,
        variables: Mapping[str, str] = {},
    ) -> None:
        self._decoder: msgspec.json.Decoder[Event | Failed] = msgspec.json.Decoder(events | Failed)
        self._errors = errors
        try:
            self._process = subprocess.Popen(
                python(module, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={**environment(), "TQDM_DISABLE": "1", **variables},  # no bars that libraries draw
                start_new_session=True,  # an interrupt typed in the terminal is ours to hear
            )
        except OSError as error:
            raise errors(nothing, reason(error), "try again") from error
        threading.Thread(target=self._bury, daemon=True).start()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its status says how
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self) -> Iterator[Event | None]:
        """What it tells, until it ends; None whenever that was nothing for a while.

        Raises an error as the child did.
        """
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in _lines(stream):
                event = None if line is None else self._understood(line)
                if isinstance(event, Failed):
                    raise self._errors(event.what, event.why, event.remedy)
                yield event

    def wait(self) -> int:
        """Its exit status as subprocess gives it, once it has ended."""
        return self._process.wait()

    def close(self, patience: float = STOP_SECONDS) -> None:
        """Have it stop; after ``patience`` seconds it is killed."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill_group()
            self._process.wait()

    def _understood(self, line: bytes) -> Event | Failed | None:
        """The event in a line; None for what a library printed."""
        with contextlib.suppress(msgspec.DecodeError):
            return self._decoder.decode(line)
        return None

    def _bury(self) -> None:
        """When it has ended, however it did, end what it had started."""
        self._process.wait()
        self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def how_it_ended(status: int) -> str:
    """What to tell a person of a process that ended before its work: ``was killed, perhaps ...``."""
    if status == -signal.SIGKILL:
        return "was killed, perhaps because memory ran out"
    return f"ended unexpectedly ({f'signal {-status}' if status < 0 else f'exit status {status}'})"


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The lines of ``stream`` until it ends, and None whenever there was none for a while."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(POLL_SECONDS):
                yield None
                continue
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            yield from lines


# ---- the child's side ------------------------------------------------------------------------

Order = TypeVar("Order", bound=msgspec.Struct)
Tell = Callable[[msgspec.Struct], None]


def leave() -> None:
    """End at once: nobody waits any more."""
    os._exit(130)


def serve(
    order: type[Order],
    work: Callable[[Order, Tell], msgspec.Struct | None],
    stop: Callable[[], object] = leave,
    *,
    unfinished: str,
) -> int:
    """Read the order, do the ``work``, tell its result or how it failed. Returns the exit status.

    ``stop`` is called, in another thread, when stdin closes; ``unfinished`` says what the system's
    refusals came in the way of. What libraries print goes to stderr.
    """
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(event: msgspec.Struct) -> None:
        output.write(msgspec.json.encode(event) + b"\n")

    try:
        wanted = msgspec.json.decode(sys.stdin.buffer.readline(), type=order)
        threading.Thread(target=_watch_stdin, args=(stop,), daemon=True).start()
        if (result := work(wanted, tell)) is not None:
            tell(result)
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    except Exception as error:
        if (failed := _failed(error, unfinished)) is None:
            raise
        tell(failed)
        return 1
    return 0


def _failed(error: Exception, unfinished: str) -> Failed | None:
    """What is told of an error; None of one that is a mistake of ours."""
    match error:
        case SdtuiError():
            return Failed(error.what, error.why, error.remedy)
        case MemoryError():
            return Failed(unfinished, "memory ran out", "close other programs, or add memory")
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            return Failed(unfinished, reason(error) + where, "make room, then try again")
        case msgspec.DecodeError():
            return Failed(unfinished, f"the order cannot be read: {error}", "update sdtui")
    return None


def _watch_stdin(stop: Callable[[], object]) -> None:
    while os.read(sys.stdin.fileno(), 1 << 16):  # sys.stdin would be locked when the program ends
        pass
    stop()
