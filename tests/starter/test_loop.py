"""Training that was stopped, paused or killed ends as training that was not."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from pickle import PicklingError

import pytest
import torch
from torch import nn

from sdtui.starter import loop
from sdtui.starter.checkpoint import load, save


def fit(work: Path, steps: int, at: Callable[[int], None] = lambda _: None) -> nn.Module:
    """Fit a line to noisy points; ``at`` is told every step."""
    torch.manual_seed(0)
    line = nn.Linear(3, 1)

    def loss(step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        at(step)
        points = torch.randn(8, 3, generator=generator)
        off = (line(points)[:, 0] - points.sum(1)).square().mean()
        return off, {"off": off.item()}

    schedule = loop.Schedule(40, 0.1, warmup=5)
    stage = loop.Stage("line", {"model": line}, schedule, loss, average=loop.Average(line, 0.9), seed=3)
    if steps < 40:
        stop = steps

        def interrupt(step: int) -> None:
            if step == stop - 1:
                os.kill(os.getpid(), signal.SIGTERM)

        at = interrupt
        with pytest.raises(loop.Stopped):
            loop.run(stage, work)
    else:
        loop.run(stage, work)
    return line


def test_a_stopped_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", 40).state_dict()
    fit(tmp_path / "parts", 7)
    stopped = load(tmp_path / "parts" / "line.pt")
    assert stopped is not None
    assert stopped["step"] == 7
    parts = fit(tmp_path / "parts", 40).state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name])
    first, second = (load(tmp_path / each / "line.pt") for each in ("whole", "parts"))
    assert first is not None
    assert second is not None
    assert torch.equal(first["average"]["weight"], second["average"]["weight"])
    assert (whole["weight"] - 1).abs().max() < 0.2


def test_it_waits_while_the_file_is_there_with_its_checkpoint_written(tmp_path: Path) -> None:
    steps: list[int] = []
    resumed_at: list[int] = []

    def at(step: int) -> None:
        steps.append(step)
        if step == 10:
            (tmp_path / loop.PAUSE).touch()
            threading.Thread(target=release).start()

    def release() -> None:
        while (state := load(tmp_path / "line.pt")) is None:
            time.sleep(0.01)
        resumed_at.extend((state["step"], steps[-1]))
        (tmp_path / loop.PAUSE).unlink()

    fit(tmp_path, 40, at)
    assert resumed_at == [11, 10]
    assert steps == list(range(40))


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = loop.Schedule(1000, 1.0, warmup=10)
    rates = [schedule.rate(step) for step in (0, 9, 500, 800, 999)]
    assert rates[0] == 0.1
    assert rates[1] == rates[2] == 1.0
    assert 0.4 < rates[3] < 0.6
    assert 0.02 <= rates[4] < 0.03


def test_an_interrupted_save_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "stage.pt"
    assert load(path) is None
    save(path, {"step": 1})
    with pytest.raises((AttributeError, PicklingError)):
        save(path, {"step": lambda: 2})
    state = load(path)
    assert state == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["stage.pt"]
