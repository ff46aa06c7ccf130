"""One trial in a process of its own: see :mod:`sdtui.child`."""

from __future__ import annotations

import sys
import time

from sdtui.bench.measurement import Measurement, Trial
from sdtui.bench.outcome import NOTHING
from sdtui.child import Tell, serve


def measure(trial: Trial, tell: Tell) -> Measurement:
    """Time the imports, then the trial. Raises SdtuiError."""
    began = time.perf_counter()
    if trial.program == "diffusers":
        from sdtui.bench import theirs as program
    else:
        from sdtui.bench import own as program  # type: ignore[no-redef]
    program.import_libraries()
    return program.measure(trial, tell, time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(serve(Trial, measure, unfinished=NOTHING))
