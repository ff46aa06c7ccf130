"""``python -m sdtui.starter.curve``: how well it drew after how many steps, as data and as a picture.

The weights that the unet stage kept on its way draw the evaluation's questions; the judge looks. Dots show
what more of the same would give: a logistic curve through the last points, in the logarithm of the steps.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from sdtui.starter import device
from sdtui.starter.checkpoint import load
from sdtui.starter.config import TextConfig, UnetConfig
from sdtui.starter.judge import Judge
from sdtui.starter.networks import build_unet
from sdtui.starter.questions import GUIDANCE, Picture, Question, questions, score
from sdtui.starter.sampling import decode, denoiser, sample
from sdtui.starter.train_unet import Material

Point = dict[str, float]
_COLOURS = {
    "subject": (214, 64, 69),
    "background": (62, 124, 210),
    "style": (148, 98, 214),
    "place": (72, 158, 92),
    "both": (226, 140, 40),
}
_TOGETHER = 32


def draw_questions(
    material: Material, weights: dict[str, torch.Tensor], asked: list[Question]
) -> list[Picture]:
    """Pictures by these weights, 20 steps."""
    unet = build_unet(UnetConfig(), TextConfig()).eval()
    unet.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    unet = unet.to(memory_format=torch.channels_last)
    drawn: list[Picture] = []
    for first in range(0, len(asked), _TOGETHER):
        states = material.words([each.prompt for each in asked[first : first + _TOGETHER]])
        latents = sample(denoiser(unet), states, material.words.empty, 20, GUIDANCE, seed=first)
        pictures = decode(material.vae, latents, material.pool.scale.factor)
        drawn += list(((pictures / 2 + 0.5) * 255).round().byte().permute(0, 2, 3, 1).numpy())
    return drawn


def measure(work: Path, count: int) -> list[Point]:
    """A point for every milestone; those measured before are read from ``curve.json``."""
    path = work / "curve.json"
    known: list[Point] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    material = Material(work)
    judge = Judge(work, len(material.artwork))
    asked = questions(material.artwork, count)
    for file in sorted((work / "milestones").glob("*.pt")):
        if any(point["step"] == int(file.stem) for point in known):
            continue
        state = load(file)
        assert state is not None
        point = {
            "step": float(state["step"]),
            **score(judge, asked, draw_questions(material, state["average"], asked)),
        }
        print(" ".join(f"{name} {value:g}" for name, value in point.items()), flush=True)
        known = sorted([*known, point], key=lambda each: each["step"])
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known


def chart(points: list[Point], size: tuple[int, int] = (720, 400)) -> Image.Image:
    """Parts that are right over the steps, these on a logarithmic scale; dashed: eight times as many."""
    width, height = size
    left, right, top, bottom = 48, width - 96, 16, height - 40
    first = math.log2(points[0]["step"])
    last = math.log2(points[-1]["step"]) + 3
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)

    def at(log_steps: float, value: float) -> tuple[float, float]:
        across = (log_steps - first) / (last - first)
        return left + across * (right - left), bottom - value * (bottom - top)

    for percent in range(0, 101, 20):
        _, y = at(first, percent / 100)
        pen.line((left, y, right, y), fill=(225, 225, 225))
        pen.text((8, y - 6), f"{percent} %", fill=(90, 90, 90))
    for number in range(math.ceil(first), math.floor(last) + 1):
        x, _ = at(number, 0.0)
        pen.text((x - 12, bottom + 8), f"{2**number}", fill=(90, 90, 90))
    pen.text((left, height - 16), "steps of 32 pictures", fill=(90, 90, 90))
    ends: list[tuple[float, str]] = []
    for name, colour in _COLOURS.items():
        known = [(math.log2(point["step"]), point[name]) for point in points if name in point]
        pen.line([at(*each) for each in known], fill=colour, width=2)
        value = known[-1][1]
        for step, value in _continued(known, last):
            x, y = at(step, value)
            pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=colour)
        ends.append((at(last, value)[1], name))
    lowest = 0.0
    for y, name in sorted(ends):
        lowest = max(y - 6, lowest + 14)
        pen.text((right + 6, lowest), name, fill=_COLOURS[name])
    return image


def _continued(known: list[tuple[float, float]], last: float) -> list[tuple[float, float]]:
    """Points of a logistic curve through the last three that are known, up to ``last``."""
    if len(known) < 3:
        return []
    steps = np.array([step for step, _ in known[-3:]])
    parts = np.clip([part for _, part in known[-3:]], 0.005, 0.995)
    slope, start = np.polyfit(steps, np.log(parts / (1.0 - parts)), 1)
    further = np.arange(known[-1][0], last, 0.2)
    return [(float(step), float(1.0 / (1.0 + np.exp(-slope * step - start)))) for step in further]


def main() -> None:
    """Read the command line, draw, judge, and write ``curve.json`` and ``curve.png``."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.curve", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    parser.add_argument("--count", type=int, default=32, help="questions of each of the four kinds")
    arguments = parser.parse_args()
    device.use_best()
    points = measure(arguments.work, arguments.count)
    if points:
        chart(points).save(arguments.work / "curve.png")


if __name__ == "__main__":
    main()
