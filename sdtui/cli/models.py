"""``sdtui models``: what pictures can be made with."""

from __future__ import annotations

import json as jsonlib
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from sdtui.bundle import Bundle, BundleError, installed, locate, reference, removable, remove, verify
from sdtui.bundle.library import STARTER, STARTER_PATH, folders
from sdtui.cli.asking import agreed
from sdtui.cli.errors import FAILED, CommandLineError
from sdtui.cli.model_facts import disk_bytes, facts, lines, megabytes, sizes
from sdtui.settings import places

app = typer.Typer(help="The models that pictures can be made with.")

Model = Annotated[str, typer.Argument(metavar="NAME|PATH")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per model.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the built-in model and the installed ones."""
    for bundle in installed():
        if json:
            _print_json(facts(bundle))
            continue
        manifest = bundle.manifest
        size = sizes(bundle)[0].replace("x", " × ") + " +" * (len(sizes(bundle)) > 1)
        print(
            f"{reference(bundle):24} {manifest.family:12} {size:>13}  "
            f"{megabytes(disk_bytes(bundle.path)):>9}  {manifest.title}"
        )


@app.command()
def info(model: Model, json: Json = False) -> None:
    """Show what is known of one model."""
    bundle = Bundle.open(locate(model))
    if json:
        _print_json(facts(bundle))
    else:
        print(*lines(bundle), sep="\n")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="The folder of a Core ML model, or one that it lies below.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call it.")] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where vocab.json and merges.txt are, if not in the folder."),
    ] = None,
    prediction_type: Annotated[
        Literal["epsilon", "v_prediction"] | None,
        typer.Option(help="What its UNet predicts, where that cannot be seen."),
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="Take the networks away from where they are.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Share no files with where they are.")] = False,
    json: Json = False,
) -> None:
    """Use a model that somebody else converted: Apple's, Mochi Diffusion's, the Hub's, or a bundle.

    Nothing is converted. Files are shared with where they are, so that it takes no disk.
    """
    from sdtui.bundle.importing import import_model

    if move and copy:
        raise CommandLineError("the command line is wrong", "--move is not --copy", "choose one of them")
    # However it is stopped, nothing half made may stay.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    imported = import_model(
        path,
        places().models.absolute(),
        name=name,
        tokenizer=tokenizer,
        prediction=prediction_type,
        how="move" if move else "copy" if copy else "link",
        on_network=_say_reading if sys.stderr.isatty() else lambda _name: None,
    )
    for warning in imported.warnings:
        print(f"note: {warning}", file=sys.stderr)
    if json:
        _print_json(facts(imported.bundle))
    else:
        print(reference(imported.bundle))


@app.command("remove")
def remove_(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an installed model from the disk."""
    folder = removable(name)
    question = f"Delete {name} ({megabytes(disk_bytes(folder))})?"
    if yes or agreed(question, f"{name} is not removed"):
        remove(folder)
    else:
        print("kept")


@app.command("verify")
def verify_(
    models: Annotated[list[str] | None, typer.Argument(metavar="[NAME|PATH]...")] = None, json: Json = False
) -> int:
    """Read every network of these models, or of all, and tell whether they are as they were made."""
    damaged = 0
    for folder in map(locate, models) if models else folders():
        try:
            verify(Bundle.open(folder))
            trouble = None
        except BundleError as error:
            trouble = str(error)
            damaged += 1
        name = STARTER if folder == STARTER_PATH else folder.name
        if json:
            _print_json({"model": name, "path": str(folder), "whole": trouble is None, "error": trouble})
        elif trouble is None:
            print(f"{name:24} whole")
        else:
            print("error:", trouble, file=sys.stderr)
    return FAILED if damaged else 0


def _say_reading(network: str) -> None:
    print(f"reading {network}", file=sys.stderr)


def _print_json(value: object) -> None:
    print(jsonlib.dumps(value, ensure_ascii=False))
