"""A conversion for another program: see :mod:`sdtui.child`.

The last event is the report, or how it failed. When stdin closes or a signal asks for it, the
conversion stops, and the same request goes on from there. ``--forecast`` tells only the forecast.
"""

from __future__ import annotations

import signal
import sys
import threading

from sdtui.child import Tell, serve
from sdtui.conversion import ConversionReport, ConversionRequest, Forecast
from sdtui.convert.conversion import convert, forecast


def main() -> int:
    """Convert what stdin asks for."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())

    def work(request: ConversionRequest, tell: Tell) -> Forecast | ConversionReport:
        if "--forecast" in sys.argv[1:]:
            return forecast(request, stopped.is_set)
        return convert(request, tell, stopped.is_set)

    return serve(ConversionRequest, work, stopped.set, unfinished="nothing was converted")


if __name__ == "__main__":
    sys.exit(main())
