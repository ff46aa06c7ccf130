"""Options of ``sdtui generate`` that say how noise becomes a picture."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from sdtui.request import RandomSource, Sigmas, TimestepSpacing

Scheduler = Annotated[str | None, typer.Option("--scheduler", metavar="NAME", help="See --list-schedulers.")]
Spacing = Annotated[
    str | None,
    typer.Option(
        "--timestep-spacing", metavar="|".join(get_args(TimestepSpacing)), help="Default: the model's."
    ),
]
NoiseLevels = Annotated[
    str | None,
    typer.Option("--sigmas", metavar="|".join(get_args(Sigmas)), help="Default: the scheduler's."),
]
Rng = Annotated[
    str | None,
    typer.Option("--rng", metavar="|".join(get_args(RandomSource)), help="Who draws the noise."),
]
Checked = Annotated[
    bool | None,
    typer.Option(
        "--safety-checker/--no-safety-checker", help="Let the model's checker black out what it finds."
    ),
]
Tiled = Annotated[
    bool, typer.Option("--tiled", help="Run the VAE in tiles of a smaller size of the model: less memory.")
]


def _print_schedulers(wanted: bool) -> None:
    if not wanted:
        return
    from sdtui.diffusion.schedulers import RECIPES

    rows = [("NAME", "SCHEDULER", "MODELS", "TAKES")]
    for name, recipe in RECIPES.items():
        named = "use_karras_sigmas" in recipe.options  # its name says which sigmas
        takes = {"--timestep-spacing": recipe.spaced, "--sigmas": recipe.sigmas and not named}
        models = "SD3" if recipe.flow else "SD, SDXL"
        rows.append((name, recipe.title, models, " ".join(option for option, able in takes.items() if able)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    raise typer.Exit


ListSchedulers = Annotated[
    bool,
    typer.Option(
        "--list-schedulers", help="Show the schedulers and leave.", callback=_print_schedulers, is_eager=True
    ),
]
