"""How far a conversion is, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from itertools import takewhile

from sdtui.conversion import Stage
from sdtui.convert.plan import STAGES, Plan

_ALMOST = 0.97
"""How far time alone may carry a stage that does not say how far it is."""


class Pace:
    """Progress over all networks of ``plan``, weighed by the seconds that each stage was forecast.

    ``made`` are the keys of networks that were there already. The estimate is corrected by how the
    stages so far have kept to the forecast.
    """

    def __init__(
        self, plan: Plan, made: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._started = clock()
        self._spent = 0.0
        """Forecast seconds of what was made since the start."""
        self._furthest = 0.0
        self._total = sum(sum(network.seconds) for network in plan.networks if network.key not in made)
        self._stage = ("", "")
        self._stage_started = self._started

    def at(self, key: str, stage: str, fraction: float) -> Stage:
        """The stage ``stage`` of a network is ``fraction`` done, as far as it knows."""
        now = self._clock()
        if self._stage != (key, stage):
            self._stage, self._stage_started = (key, stage), now
        seconds: dict[str, float] = dict(zip(STAGES, self._plan.network(key).seconds, strict=True))
        earlier = takewhile(lambda each: each != stage, STAGES if stage in seconds else ())
        before = sum(seconds[each] for each in earlier)
        expected = seconds.get(stage, 0.0)
        by_time = min((now - self._stage_started) / expected, _ALMOST) if expected else 0.0
        done = self._spent + before + expected * max(fraction, by_time)
        self._furthest = done = max(done, self._furthest)  # a second role is traced after the first is stored
        elapsed = now - self._started
        whole = done / self._total if self._total else 1.0
        remaining = max(self._total - done, 0.0) * (elapsed / done if done and elapsed > 5 else 1.0)
        return Stage(key, stage, round(min(whole, 1.0), 4), round(elapsed, 1), round(remaining, 1))

    def done(self, key: str) -> None:
        """A network is made."""
        self._spent += sum(self._plan.network(key).seconds)
