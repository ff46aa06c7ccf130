"""A process that speaks as ``sdtui.convert.process`` does, and converts nothing.

What it does is told by the name of the request's source: ``good``, ``slow``, ``unfaithful``, ``refused``,
``killed``, ``deaf`` (does not notice that it should stop), ``talkative``, ``huge`` or ``pondering`` (has
no forecast until it is stopped). It leaves what it was told in ``OUTPUT.request.json``, and how far it
came in ``OUTPUT.steps``, from where it goes on; its bundle is a link to the built-in one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from sdtui.bundle.library import STARTER_PATH
from sdtui.child import Failed
from sdtui.conversion import (
    ConversionEvent,
    ConversionReport,
    ConversionRequest,
    Forecast,
    NetworkForecast,
    NetworkReport,
    Stage,
)
from sdtui.files import write_atomically

NETWORKS = ("text_encoder", "unet")
STEPS = {"slow": 1500, "deaf": 1500}
STEP_SECONDS = 0.02


def kind(request: ConversionRequest) -> str:
    """Which of the behaviours is asked for."""
    return Path(request.source).stem


def tell(event: ConversionEvent | Failed) -> None:
    """One line to whoever listens; without a listener there is nothing to do."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(1)


def forecast(request: ConversionRequest) -> Forecast:
    """What a conversion with two networks takes; none of them fits where the source is huge."""
    size = 10**15 if kind(request) == "huge" else 1_700_000_000
    networks = [NetworkForecast(name, 860_000_000, 3_100_000_000, size // 2, 65.0) for name in NETWORKS]
    warnings = ["memory: 3.1 GB of 1.0 GB"] if kind(request) == "huge" else []
    return Forecast(networks, 3_100_000_000, size, 130.0, warnings)


def report(request: ConversionRequest) -> ConversionReport:
    """The first network is not faithful where that is asked for."""
    networks = [
        NetworkReport(
            name,
            f"{name}.mlpackage",
            860_000_000,
            1_700_000_000,
            41.0 if kind(request) == "unfaithful" and name == "unet" else 72.5,
            60.0,
            None if request.nbits is None else float(request.nbits),
            65.0,
            3_000_000_000,
        )
        for name in NETWORKS
    ]
    return ConversionReport(request.output, request.source, "sd", 130.0, networks)


def convert(request: ConversionRequest, stopped: threading.Event) -> None:
    """Go through the steps, from where the last attempt came to."""
    record = Path(f"{request.output}.steps")
    total = STEPS.get(kind(request), 2)
    first = int(record.read_text()) if record.exists() else 0
    for step in range(first, total):
        tell(Stage("unet", "tracing", step / total, step * STEP_SECONDS, (total - step) * STEP_SECONDS))
        write_atomically(record, str(step).encode())
        if stopped.wait(STEP_SECONDS) and kind(request) != "deaf":
            return
    Path(request.output).symlink_to(STARTER_PATH)
    done = report(request)
    for network in done.networks:
        tell(network)
    tell(done)


def main() -> None:
    """Be told on stdin, and tell on stdout, until done or not listened to any more."""
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=ConversionRequest)
    Path(request.output).parent.mkdir(parents=True, exist_ok=True)
    Path(f"{request.output}.request.json").write_bytes(msgspec.json.encode(request))
    stopped = threading.Event()

    def await_end() -> None:
        while os.read(sys.stdin.fileno(), 1 << 16):
            pass
        stopped.set()

    threading.Thread(target=await_end, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    if kind(request) == "talkative":
        print("a library says hello", flush=True)
    if kind(request) == "refused":
        tell(Failed("refused cannot be converted", "it is a pickle", "use safetensors"))
        raise SystemExit(1)
    if kind(request) == "pondering":
        stopped.wait()
        return
    tell(forecast(request))
    if "--forecast" in sys.argv:
        return
    if kind(request) == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    convert(request, stopped)


if __name__ == "__main__":
    main()
