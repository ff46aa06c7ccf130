"""Options of ``sdtui generate`` that turn one picture into others like it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from sdtui.request import LoRA

VariationSeed = Annotated[
    int | None, typer.Option("--variation-seed", metavar="N", help="A seed to turn the noise towards.")
]
VariationStrength = Annotated[
    float | None, typer.Option("--variation-strength", metavar="F", help="How far: 0 to 1, 0.1 by default.")
]
BlendPrompt = Annotated[
    str | None, typer.Option("--blend-prompt", metavar="TEXT", help="Another prompt, to lie between the two.")
]
Blend = Annotated[
    float | None, typer.Option("--blend", metavar="F", help="How far from PROMPT: 0 to 1, 0.5 by default.")
]
RefinerStart = Annotated[
    float | None,
    typer.Option("--refiner-start", metavar="F", help="When SDXL's refiner takes over; 1 is never."),
]
Loras = Annotated[
    list[str] | None,
    typer.Option("--lora", metavar="NAME[:WEIGHT]", help="A LoRA that the model must be built with."),
]


def lora(text: str) -> LoRA:
    """The LoRA that ``ink:0.8`` names. Raises :class:`~sdtui.request.RequestError`."""
    match = re.fullmatch(r"(.+):([+-]?\d*\.?\d+)", text)
    return LoRA(name=match[1], weight=float(match[2])) if match else LoRA(name=text)


def default(strength: float | None, of: object, usual: float) -> float | None:
    """A strength that was left out, where there is something that it is the strength ``of``."""
    return usual if strength is None and of is not None else strength
