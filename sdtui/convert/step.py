"""One step of a conversion in a process of its own: the plan, or one network.

``python -m sdtui.convert.step WORKSPACE`` prepares the request in ``WORKSPACE/request.json``; with the
key of a network as second argument it makes that network. It tells :class:`Progress`, and how it
failed, as lines of JSON; it ends when its stdin does, because then nobody waits for it.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from sdtui.conversion import ConversionFailed
from sdtui.convert.plan import Progress
from sdtui.convert.workspace import Workspace
from sdtui.errors import SdtuiError
from sdtui.files import reason


def main() -> int:
    """Run the step that the command line names."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print
    threading.Thread(target=_end_with_stdin, daemon=True).start()

    def tell(message: Progress | ConversionFailed) -> None:
        output.write(msgspec.json.encode(message) + b"\n")

    try:
        key = sys.argv[2] if len(sys.argv) > 2 else None
        run_here(Path(sys.argv[1]), key, lambda stage, fraction: tell(Progress(stage, fraction)))
    except SdtuiError as error:
        tell(ConversionFailed(error.what, error.why, error.remedy))
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        tell(
            ConversionFailed("the conversion stopped", reason(error) + where, "make room, then convert again")
        )
        return 1
    except MemoryError:
        tell(
            ConversionFailed(
                "the conversion stopped", "memory ran out", "close other programs, or add memory"
            )
        )
        return 1
    return 0


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1 << 16):  # sys.stdin would be locked when the program ends
        pass
    os._exit(1)


def run_here(
    workspace: Path,
    key: str | None,
    on_progress: Callable[[str, float], None],
    _cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Carry out a step in this process: a :data:`sdtui.convert.running.Run` that cannot be cancelled."""
    if key is None:
        _prepare(Workspace(workspace), on_progress)
    else:
        _make(Workspace(workspace), key, on_progress)


def _prepare(workspace: Workspace, tell: Callable[[str, float], None]) -> None:
    from sdtui.convert.preparing import prepare

    tell("opening", 0.0)
    workspace.write_plan(prepare(workspace.request, workspace.checkpoints, workspace.words, tell))


def _make(workspace: Workspace, key: str, tell: Callable[[str, float], None]) -> None:
    """Convert the network ``key`` and compare it with torch; what is there already is not done again."""
    from sdtui.convert.building import Builder
    from sdtui.convert.making import compare, convert
    from sdtui.convert.opening import open_all

    started = time.monotonic()
    request, plan = workspace.request, workspace.plan
    network = plan.network(key)
    tell("tracing", 0.0)
    builder = Builder(request, plan.manifest, open_all(request, workspace.checkpoints), network)
    if not workspace.converted(key).exists():
        unfinished = workspace.unfinished(key)
        shutil.rmtree(unfinished, ignore_errors=True)
        packages = unfinished / "packages"
        packages.mkdir(parents=True)
        workspace.finish_conversion(key, convert(builder, request, network, packages, tell))
    tell("comparing", 0.0)
    made = compare(builder, request, network, workspace.converted(key), workspace.entries(key), tell)
    cost = {"seconds": round(time.monotonic() - started, 1), "peak_memory": peak_memory()}
    reports = [msgspec.structs.replace(report, **cost) for report in made.reports]
    workspace.write_made(key, msgspec.structs.replace(made, reports=reports))


def peak_memory() -> int:
    """The most bytes that this process has had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
