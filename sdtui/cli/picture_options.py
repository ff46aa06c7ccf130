"""Options of ``sdtui generate`` that name pictures or places in them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from sdtui.cli.errors import CommandLineError
from sdtui.request import Control

Image = Annotated[str | None, typer.Option("--image", metavar="PATH", help="A picture to start from.")]
Strength = Annotated[
    float | None, typer.Option("--strength", metavar="F", help="How much of it is made anew: 0 to 1.")
]
Mask = Annotated[
    str | None, typer.Option("--mask", metavar="PATH", help="Where: what is white in this picture.")
]
Outpaint = Annotated[
    str | None,
    typer.Option("--outpaint", metavar="L,T,R,B", help="Make it smaller and paint so many pixels around it."),
]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        metavar="NAME=PATH[:WEIGHT[:START-END]]",
        help="A ControlNet of the model and the picture that it follows.",
    ),
]
Upscale = Annotated[
    float | None,
    typer.Option("--upscale", metavar="F", help="Make it again in another size of the model: 2 is twice."),
]
UpscaleStrength = Annotated[
    float | None,
    typer.Option("--upscale-strength", metavar="F", help="How much of it is then made anew: 0 to 1."),
]

_NUMBER = r"\d*\.?\d+"
_CONTROL = re.compile(
    rf"(?P<name>[^=]+)=(?P<image>.+?)(:(?P<weight>{_NUMBER})(:(?P<start>{_NUMBER})-(?P<end>{_NUMBER}))?)?"
)
_MARGINS = re.compile(r"(\d+),(\d+),(\d+),(\d+)")


def control(text: str) -> Control:
    """The control that ``canny=edges.png:0.8:0-0.5`` asks for. Raises CommandLineError, RequestError."""
    match = _CONTROL.fullmatch(text)
    if match is None:
        raise CommandLineError(
            "control is not valid",
            f"{text!r} is not NAME=PATH[:WEIGHT[:START-END]]",
            "write it like canny=edges.png:0.8",
        )
    numbers = {name: float(match[name]) for name in ("weight", "start", "end") if match[name] is not None}
    return Control(name=match["name"], image=match["image"], **numbers)


def margins(text: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in pixels of ``64,0,64,0``. Raises CommandLineError."""
    match = _MARGINS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise CommandLineError(
            "outpaint is not valid", f"{text!r} is not L,T,R,B", "write pixels like 64,0,64,0"
        )
    left, top, right, bottom = map(int, match.groups())
    return left, top, right, bottom
