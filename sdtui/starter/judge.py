"""The judge of the evaluation: a small convolutional network that has seen real pictures only.

It looks at a picture cell by cell (8 x 8) and says for each which subject it belongs to, if any, in
which style, and what the background is. That a thing is there, and where, follows from the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sdtui.starter.checkpoint import load
from sdtui.starter.config import BACKGROUNDS, STYLES, JudgeConfig
from sdtui.starter.render import to_tensor
from sdtui.starter.scene import PLACES, Box, Scene

CELLS = 8
_CORE = 0.6
"""Cells in this part of a box, in each direction, belong to the thing for sure."""
_IGNORED = -100
_ASIDE = 0.1
"""So far from the middle, of the width, a thing is no longer in it."""


def _layer(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_layer(channels, channels, 3, 1), _layer(channels, channels, 3, 1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.layers(inputs)  # type: ignore[no-any-return]


class JudgeNetwork(nn.Module):
    """Pictures (n, 3, 128, 128) in -1..1 -> cells (n, subjects + 1 + styles + backgrounds, 8, 8)."""

    def __init__(self, subjects: int, config: JudgeConfig) -> None:
        super().__init__()
        first, second, third = config.channels
        self.sizes = (subjects + 1, len(STYLES), len(BACKGROUNDS))
        self.body = nn.Sequential(
            _layer(3, first, 5, 2),
            _layer(first, second, 3, 2),
            _Residual(second),
            _Residual(second),
            _layer(second, third, 3, 2),
            _Residual(third),
            _Residual(third),
            _Residual(third),
        )
        self.around = nn.Linear(third, third)
        self.heads = nn.Conv2d(third, sum(self.sizes), 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Subject (the last number is none), style and background logits."""
        cells = self.body(functional.avg_pool2d(pictures, 2))
        around = self.around(cells.mean((2, 3)))[:, :, None, None]
        return tuple(self.heads(functional.relu(cells + around)).split(self.sizes, dim=1))


def targets(scene: Scene, places: Sequence[Box], none: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the cells of a picture show, (8, 8): subjects and styles; unsure cells are -100."""
    middles = (np.arange(CELLS) + 0.5) / CELLS
    subject = np.full((CELLS, CELLS), none)
    for thing, box in zip(scene.things, places, strict=True):
        across, down = np.abs(middles - box.x)[None, :], np.abs(middles - box.y)[:, None]
        reach = np.maximum(across, down)
        subject[reach < box.side / 2 + 0.5 / CELLS] = _IGNORED
        core = max(box.side / 2 * _CORE, float(reach.min()) + 1e-6)
        subject[reach <= core] = thing.subject
    style = np.where((subject >= 0) & (subject != none), scene.style, _IGNORED)
    return subject, style


@dataclass(frozen=True)
class Verdict:
    """What the judge sees in a picture."""

    subjects: tuple[int, ...]
    """The likeliest two, likeliest first."""
    middles: tuple[tuple[float, float], ...]
    """Where they are, in parts of the width and height."""
    style: int
    background: int

    def place(self) -> str:
        """Where the likeliest thing is, as a key of :data:`PLACES`."""
        steps = tuple(0 if abs(at - 0.5) < _ASIDE else (1 if at > 0.5 else -1) for at in self.middles[0])
        return next(name for name, known in PLACES.items() if known == steps)


class Judge:
    """The trained network and how it is read."""

    def __init__(self, work: Path, subjects: int) -> None:
        state = load(work / "judge.pt")
        if state is None:
            raise FileNotFoundError(f"{work / 'judge.pt'}: train the judge stage first")
        self.network = JudgeNetwork(subjects, JudgeConfig())
        self.network.load_state_dict(state["model"])
        self.network.eval()

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Verdict]:
        """One verdict for each picture, (128, 128, 3) 8-bit."""
        return [
            verdict
            for first in range(0, len(pictures), 32)
            for verdict in self._see(pictures[first : first + 32])
        ]

    @torch.inference_mode()
    def _see(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Verdict]:
        return read(*self.network(to_tensor(pictures)))


def read(subject: torch.Tensor, style: torch.Tensor, background: torch.Tensor) -> list[Verdict]:
    """Verdicts from the network's logits (n, ..., 8, 8)."""
    likely = subject.softmax(1)[:, :-1]
    # A thing of any size counts by its three surest cells.
    flat = likely.flatten(2)
    score = flat.topk(3, dim=2).values.mean(2)
    best = score.topk(2, dim=1).indices
    there = likely.sum(1, keepdim=True)
    styles = (style.log_softmax(1) * there).sum((2, 3)).argmax(1)
    behind = background.log_softmax(1).sum((2, 3)).argmax(1)
    middles = (torch.arange(CELLS) + 0.5) / CELLS
    verdicts = []
    for number, chosen in enumerate(best.tolist()):
        where = []
        for each in chosen:
            weight = likely[number, each]
            total = weight.sum().clamp_min(1e-6)
            where.append((float((weight.sum(0) @ middles) / total), float((weight.sum(1) @ middles) / total)))
        verdicts.append(Verdict(tuple(chosen), tuple(where), int(styles[number]), int(behind[number])))
    return verdicts


@dataclass(frozen=True)
class Marks:
    """Whether a picture is what was asked for; None where the question does not arise."""

    subject: bool | None
    """A single thing is the likeliest of all."""
    background: bool
    style: bool
    place: bool | None
    both: bool | None
    """The likeliest two things are the two that were asked for."""
    order: bool | None
    """And they lie to each other as asked."""


def mark(scene: Scene, verdict: Verdict) -> Marks:
    """Compare what was asked for with what the judge sees."""
    background, style = verdict.background == scene.background, verdict.style == scene.style
    if len(scene.things) == 1:
        wanted = scene.things[0].subject
        place = scene.arrangement == verdict.place()
        return Marks(verdict.subjects[0] == wanted, background, style, place, None, None)
    wanted_both = [thing.subject for thing in scene.things]
    both = sorted(wanted_both) == sorted(verdict.subjects)
    order = None
    if both:
        middle = dict(zip(verdict.subjects, verdict.middles, strict=True))
        axis = 0 if scene.arrangement == "beside" else 1
        order = middle[wanted_both[0]][axis] < middle[wanted_both[1]][axis]
    return Marks(None, background, style, None, both, order)


def rates(marks: Sequence[Marks]) -> dict[str, float]:
    """How many of the pictures that a question was put to have it right, by question."""
    told = {
        each.name: [value for mark in marks if (value := getattr(mark, each.name)) is not None]
        for each in fields(Marks)
    }
    return {name: sum(values) / len(values) for name, values in told.items() if values}
