"""Running one step of a conversion in a process of its own, and hearing how far it is."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from sdtui.child import Child, how_it_ended
from sdtui.convert.plan import Progress, Step
from sdtui.errors import SdtuiError

MODULE = "sdtui.convert.step"

Run = Callable[[Path, str | None, Callable[[str, float], None], Callable[[], bool]], None]
"""Carries out a step of a conversion, as :func:`run_step` does."""


class StepError(SdtuiError):
    """A step of a conversion failed; what and why are those of the process that it ran in."""


def run_step(
    workspace: Path,
    key: str | None,
    on_progress: Callable[[str, float], None],
    cancelled: Callable[[], bool],
) -> None:
    """Make the plan (``key`` None), or the network ``key``, in ``workspace``.

    Raises :class:`StepError` when it fails, KeyboardInterrupt when it was cancelled; either way the
    process is gone, and what it had not finished will be done again.
    """
    child: Child[Progress] = Child(
        MODULE,
        Step(str(workspace), key),
        events=Progress,
        errors=StepError,
        nothing="the conversion stopped",
        complaints=None,
        variables={"PYTHONHASHSEED": "0"},  # sets of names decide the order of operations
    )
    try:
        heard = Progress("starting", 0.0)
        for progress in child.events():
            if cancelled():
                raise KeyboardInterrupt
            heard = progress or heard
            on_progress(heard.stage, heard.fraction)
        _check(child.wait(), key)
    finally:
        child.close(patience=0)


def _check(status: int, key: str | None) -> None:
    if status == 0:
        return
    what = f"the {key.replace('_', ' ')} was not converted" if key else "the checkpoint was not read"
    killed = status == -signal.SIGKILL
    remedy = "close other programs and convert again" if killed else "convert again with --debug"
    raise StepError(what, f"its process {how_it_ended(status)}", f"{remedy}, it goes on from there")
