"""A conversion for another program: a request comes as one line on stdin, events leave on stdout.

Each is a line of JSON; the last one is the report, or how it failed. When stdin closes or a signal
asks for it, the conversion stops, and the same request goes on from there. ``--forecast`` tells only
the forecast.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import msgspec

from sdtui.conversion import ConversionEvent, ConversionFailed, ConversionRequest
from sdtui.convert.conversion import convert, forecast
from sdtui.errors import SdtuiError


def main() -> int:
    """Convert what stdin asks for."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        request = msgspec.json.decode(sys.stdin.buffer.readline(), type=ConversionRequest)
        threading.Thread(target=_watch_stdin, args=(stopped,), daemon=True).start()
        if "--forecast" in sys.argv[1:]:
            _tell(forecast(request, stopped.is_set))
        else:
            _tell(convert(request, _tell, stopped.is_set))
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    except SdtuiError as error:
        _tell(ConversionFailed(error.what, error.why, error.remedy))
        return 1
    except msgspec.DecodeError as error:
        _tell(
            ConversionFailed("nothing was converted", f"the request cannot be read: {error}", "send it again")
        )
        return 1
    return 0


def _watch_stdin(stopped: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1 << 16):  # sys.stdin would be locked when the program ends
        pass
    stopped.set()


def _tell(event: ConversionEvent) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
