"""What a process of its own found out, for those who measure and those who compare. Light."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import IO, TypeVar

import msgspec

from sdtui.bench.errors import MeasurementError
from sdtui.child import Child, how_it_ended
from sdtui.conversion import Stage

NOTHING = "nothing was measured"
Result = TypeVar("Result", bound=msgspec.Struct)


def outcome_of(
    module: str,
    order: msgspec.Struct,
    result: type[Result],
    on_stage: Callable[[Stage], None] = lambda _: None,
    complaints: int | IO[str] = subprocess.DEVNULL,
) -> Result:
    """Run ``module`` on ``order`` until it tells a ``result``; ``on_stage`` hears how far it is.

    Raises :class:`MeasurementError` as the process did, or telling how it died. It is gone afterwards.
    """
    child: Child[Stage | Result] = Child(
        module,
        order,
        events=Stage | result,
        errors=MeasurementError,
        nothing=NOTHING,
        complaints=complaints,
    )
    with closing(child):
        for event in child.events():
            if isinstance(event, result):
                return event
            if isinstance(event, Stage):
                on_stage(event)
        why = f"the process that did it {how_it_ended(child.wait())}"
    raise MeasurementError(NOTHING, why, "try a smaller model or --debug")
