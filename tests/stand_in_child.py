"""A child that does what it is told in a word, for the tests of :mod:`sdtui.child`."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import msgspec

from sdtui.child import Tell, serve
from sdtui.errors import SdtuiError


class Order(msgspec.Struct, frozen=True):
    act: str


class Said(msgspec.Struct, frozen=True, tag="said"):
    text: str


def work(order: Order, tell: Tell) -> Said | None:
    """Do what the word of ``order`` says, and tell it."""
    match order.act:
        case "noisy":
            print("a library is loaded", flush=True)
            os.write(1, b"{}\n")
        case "refused":
            raise SdtuiError("it cannot be", "it is refused", "ask for something else")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file")
        case "starved":
            raise MemoryError
        case "mistaken":
            raise ZeroDivisionError
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "waiting" | "deaf":
            sleeper = subprocess.Popen(["sleep", "600"])
            tell(Said(str(sleeper.pid)))
            time.sleep(600)
    tell(Said(order.act))
    return Said("done")


if __name__ == "__main__":
    stop = (lambda: None) if "deaf" in sys.argv else (lambda: os._exit(130))
    sys.exit(serve(Order, work, stop, unfinished="nothing was said"))
