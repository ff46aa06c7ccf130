"""A worker is replaced before what libraries keep of each picture becomes a burden."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from sdtui.engine.protocol import Finished, Job
from sdtui.engine.wear import ENDURANCE, Endurance, Wear
from sdtui.engine.workbench import Workbench
from sdtui.request import GenerationRequest

GB = 1 << 30


def test_so_many_pictures_are_enough() -> None:
    wear = Wear(Endurance(pictures=3))
    for _ in range(2):
        wear.made("a", GB)
    assert not wear.worn
    wear.made("b", GB)
    assert wear.worn


def test_growth_counts_from_the_first_picture_with_the_same_model() -> None:
    wear = Wear(Endurance(growth=2 * GB))
    wear.made("small", 1 * GB)
    wear.made("large", 9 * GB)
    wear.made("large", 11 * GB)
    wear.made("small", 3 * GB)
    assert not wear.worn
    wear.made("small", 3 * GB + 1)
    assert wear.worn


def test_by_default_a_worker_makes_many() -> None:
    assert ENDURANCE.pictures >= 50
    assert ENDURANCE.growth >= GB


async def test_a_worn_worker_is_replaced_between_two_pictures(
    tiny_bundle: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    request = GenerationRequest(
        prompt="a red apple", model=str(tiny_bundle), seed=7, steps=1, precision="fp32"
    )
    bench = Workbench(home / "engine.log", Endurance(pictures=2))
    workers = []
    try:
        for name in ("first", "second", "third"):
            outcome = await bench.make(Job(name, request, "running"), lambda _: None)
            assert isinstance(outcome, Finished)
            assert bench.worker_pid is not None
            workers.append(bench.worker_pid)
        assert workers[0] == workers[1] != workers[2]
        assert not psutil.pid_exists(workers[0])
    finally:
        await bench.clear()
