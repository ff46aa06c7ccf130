"""One step of a conversion in a process of its own: the plan, or one network; see :mod:`sdtui.child`."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from sdtui.child import Tell, serve
from sdtui.convert.plan import Progress, Step
from sdtui.convert.workspace import Workspace


def run(step: Step, tell: Tell) -> None:
    """Carry out ``step``, telling :class:`Progress`. Raises SdtuiError, OSError, MemoryError."""
    run_here(Path(step.workspace), step.key, lambda stage, fraction: tell(Progress(stage, fraction)))


def run_here(
    workspace: Path,
    key: str | None,
    on_progress: Callable[[str, float], None],
    _cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Carry out a step in this process: a :data:`sdtui.convert.running.Run` that cannot be cancelled."""
    here = Workspace(workspace)
    with here.alone():
        if key is None:
            _prepare(here, on_progress)
        else:
            _make(here, key, on_progress)


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
    if "vae_decoder" in made.entries:
        made = msgspec.structs.replace(made, preview=builder.preview())
    cost = {"seconds": round(time.monotonic() - started, 1), "peak_memory": peak_memory()}
    reports = [msgspec.structs.replace(report, **cost) for report in made.reports]
    workspace.write_made(key, msgspec.structs.replace(made, reports=reports))


def peak_memory() -> int:
    """The most bytes that this process has had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(serve(Step, run, unfinished="the conversion stopped"))
