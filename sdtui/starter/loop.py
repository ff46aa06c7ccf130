"""The loop of every training stage: it goes on where a checkpoint left off, pauses, and stops cleanly.

A stage is counted in steps and draws what it needs at random from its seed and the number of the step,
so a run that was stopped ends as one that was not, up to the rounding of the processor.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from sdtui.starter import device
from sdtui.starter.checkpoint import load, save

PAUSE = "PAUSE"
"""While a file of this name lies in the working folder, training waits; its checkpoint is written."""
_SAVE_EVERY = 150.0
_LOG_EVERY = 50

Metrics = Mapping[str, float]


class Stopped(SystemExit):
    """SIGTERM came; the checkpoint is written and the same command goes on from it."""

    def __init__(self) -> None:
        super().__init__(3)


@dataclass(frozen=True)
class Schedule:
    """Steps of a stage and the learning rate at each: a short rise, a plateau, a cosine to a fiftieth."""

    steps: int
    learning_rate: float
    warmup: int = 100
    decay_from: float = 0.6
    """The part of the steps after which the rate goes down."""

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        rise = min(1.0, (step + 1) / self.warmup)
        part = max(0.0, (step / self.steps - self.decay_from) / (1.0 - self.decay_from))
        return self.learning_rate * rise * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * part)))


@dataclass
class Average:
    """The running mean of a network's weights, which draws better than the weights themselves."""

    module: nn.Module
    decay: float
    weights: dict[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the weights as they are now; faster at first."""
        decay = min(self.decay, (1 + step) / (10 + step))
        new = self.module.state_dict()
        torch._foreach_lerp_([*self.weights.values()], [new[name] for name in self.weights], 1.0 - decay)


@dataclass(frozen=True)
class Stage:
    """What is trained, and how its loss is computed."""

    name: str
    """Of the checkpoint, ``NAME.pt``, and of the log's lines."""
    modules: Mapping[str, nn.Module]
    schedule: Schedule
    loss: Callable[[int, torch.Generator], tuple[torch.Tensor, Metrics]]
    """Loss and figures for the log of a step, drawing at random from the generator."""
    report: Callable[[int], str] | None = None
    """Something slower to say now and then; may write pictures."""
    reports: Callable[[int], bool] = lambda step: step % 500 == 0
    """After which steps, beside the last."""
    average: Average | None = None
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    seed: int = 0


def parameters(modules: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    """What of the modules is to be trained."""
    return [p for module in modules.values() for p in module.parameters() if p.requires_grad]


def run(stage: Stage, work: Path) -> None:
    """Train to the last step. Raises :class:`Stopped` on SIGTERM, after a checkpoint."""
    path = work / f"{stage.name}.pt"
    trained = parameters(stage.modules)
    optimizer = torch.optim.AdamW(
        trained, stage.schedule.learning_rate, betas=stage.betas, weight_decay=stage.weight_decay, fused=True
    )
    step, seconds = _resume(stage, optimizer, path)
    stopping = _Stopping()
    last = saved = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    while step < stage.schedule.steps:
        rate = stage.schedule.rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        generator = device.generator(stage.seed * 1_000_003 + step)
        torch.manual_seed(stage.seed * 1_000_003 + step)
        loss, metrics = stage.loss(step, generator)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        if stage.average is not None:
            stage.average.follow(step)
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + value
        counted += 1
        now = time.monotonic()
        seconds += now - last
        last = now
        finished = step == stage.schedule.steps
        if step % _LOG_EVERY == 0 or finished:
            means = " ".join(f"{name} {total / counted:.4f}" for name, total in sums.items())
            print(f"{stage.name} step {step} {seconds:.0f} s {means} rate {rate:.1e}", flush=True)
            sums.clear()
            counted = 0
        paused = (work / PAUSE).exists()
        if now - saved > _SAVE_EVERY or finished or paused or stopping.asked:
            _save(stage, optimizer, path, step, seconds)
            saved = now
        if stage.report is not None and (stage.reports(step) or finished):
            print(f"{stage.name} step {step} {stage.report(step)}", flush=True)
        if stopping.asked:
            raise Stopped
        if paused:
            stopping.wait_while_there(work / PAUSE)
        last = time.monotonic()


def _resume(stage: Stage, optimizer: torch.optim.Optimizer, path: Path) -> tuple[int, float]:
    state = load(path)
    if state is None:
        return 0, 0.0
    for name, module in stage.modules.items():
        module.load_state_dict(state[name])
    if stage.average is not None:
        stage.average.weights = {name: each.to(device.current()) for name, each in state["average"].items()}
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]


def _save(stage: Stage, optimizer: torch.optim.Optimizer, path: Path, step: int, seconds: float) -> None:
    state: dict[str, object] = {name: module.state_dict() for name, module in stage.modules.items()}
    if stage.average is not None:
        state["average"] = stage.average.weights
    save(path, {**state, "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds})


class _Stopping:
    """Remembers a SIGTERM until a checkpoint is written."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True

    def wait_while_there(self, path: Path) -> None:
        print(f"paused: {path} exists", flush=True)
        while path.exists():
            if self.asked:
                raise Stopped
            time.sleep(1.0)
        print("going on", flush=True)
