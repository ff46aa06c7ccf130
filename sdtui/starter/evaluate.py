"""``python -m sdtui.starter.evaluate``: does the model draw what it is asked for?

It asks for combinations that were never trained (a subject's background, place or style, a pair of
subjects), draws them with the application's own pipeline, and lets the judge look, which has seen real
pictures only. The judge's own mistakes on real pictures of the same scenes are told beside.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from sdtui.bundle import Bundle
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest, Scheduler
from sdtui.starter import MODEL_FOLDER
from sdtui.starter.artwork import prepare
from sdtui.starter.config import PIXELS
from sdtui.starter.judge import Judge
from sdtui.starter.questions import GUIDANCE, Picture, diversity, questions, real, score

_ALIKE = 4
"""Seeds of each prompt whose diversity is measured."""


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn."""

    steps: int = 20
    scheduler: Scheduler = "dpm++2m"
    guidance: float = GUIDANCE


def as_picture(image: Image.Image) -> Picture:
    """A picture of any size as the judge takes it, (128, 128, 3)."""
    return np.asarray(image.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))


class Drawer:
    """A loaded bundle."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = Pipeline(Bundle.open(folder))

    def __call__(self, prompt: str, seed: int, sampling: Sampling) -> Picture:
        return as_picture(self.image(prompt, seed, sampling))

    def image(self, prompt: str, seed: int, sampling: Sampling) -> Image.Image:
        """What the application would draw."""
        request = GenerationRequest(
            prompt=prompt,
            seed=seed,
            steps=sampling.steps,
            scheduler=sampling.scheduler,
            guidance_scale=sampling.guidance,
        )
        return self.pipeline.generate(request).image


def grid() -> Iterator[Sampling]:
    """What the model card's table is made of: steps, then guidance, then schedulers."""
    usual = Sampling()
    for steps in (4, 6, 8, 12, 20, 30, 50):
        yield replace(usual, steps=steps)
    for guidance in (1.0, 2.0, 3.0, 5.5, 7.5, 10.0):
        yield replace(usual, guidance=guidance)
    others: tuple[Scheduler, ...] = ("ddim", "euler", "euler-a", "heun", "unipc", "dpm++2m-karras")
    for scheduler in others:
        yield replace(usual, scheduler=scheduler)


def row(label: str, scores: dict[str, float]) -> str:
    """One line of a Markdown table."""
    cells = [f"{scores[name]:.0%}" if name in scores else "" for name in COLUMNS]
    return f"| {label} | {' | '.join(cells)} |"


COLUMNS = ("subject", "background", "style", "place", "both", "order")
HEADING = f"| | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}"


def main() -> None:
    """Read the command line, draw and print."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.evaluate", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="artwork and judge")
    parser.add_argument("--model", type=Path, action="append", help="folder of a bundle (repeatable)")
    parser.add_argument("--count", type=int, default=100, help="questions of each of the four kinds")
    parser.add_argument("--steps", type=int, default=Sampling().steps)
    parser.add_argument("--scheduler", default=Sampling().scheduler, choices=get_args(Scheduler))
    parser.add_argument("--guidance", type=float, default=Sampling().guidance)
    parser.add_argument("--grid", action="store_true", help="other steps, guidance, schedulers too")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    artwork = prepare(arguments.work)
    judge = Judge(arguments.work, len(artwork))
    asked = questions(artwork, arguments.count)
    chosen = Sampling(arguments.steps, arguments.scheduler, arguments.guidance)
    found: list[dict[str, object]] = []
    print(HEADING)
    truth = score(judge, asked, real(artwork, asked))
    print(row("real pictures", truth), flush=True)
    for folder in arguments.model or [MODEL_FOLDER]:
        draw = Drawer(folder)
        for sampling in grid() if arguments.grid else (chosen,):
            begun = time.monotonic()
            pictures = [draw(each.prompt, each.seed, sampling) for each in asked]
            seconds = (time.monotonic() - begun) / len(asked)
            scores = score(judge, asked, pictures)
            label = (
                f"{folder.name}: {sampling.scheduler}, {sampling.steps} steps, guidance {sampling.guidance:g}"
            )
            print(row(label, scores), flush=True)
            found.append({"model": str(folder), **asdict(sampling), "seconds": seconds, **scores})
        some = asked[:: max(1, len(asked) // 16)]
        drawn = diversity([[draw(each.prompt, seed, chosen) for seed in range(_ALIKE)] for each in some])
        again = [real(artwork, some, number) for number in range(_ALIKE)]
        measured = diversity(list(zip(*again, strict=True)))
        print(f"\nseeds of a prompt differ by {drawn:.1f} of 255; real pictures of a scene by {measured:.1f}")
        found.append({"model": str(folder), "diversity": drawn, "real diversity": measured})
        draw.pipeline.close()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"real": truth, "drawn": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
