"""``sdtui models``: what pictures can be made with."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from sdtui.bundle import Bundle, installed, locate, reference

app = typer.Typer(help="The models that pictures can be made with.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object per model.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the built-in model and the installed ones."""
    for bundle in installed():
        manifest = bundle.manifest
        if json:
            print(jsonlib.dumps(_facts(bundle), ensure_ascii=False))
        else:
            size, megabytes = f"{manifest.width} × {manifest.height}", f"{_bytes(bundle) / 1e6:,.0f} MB"
            print(f"{reference(bundle):24} {size:>12}  {megabytes:>9}  {manifest.title}")


@app.command()
def info(model: Annotated[str, typer.Argument(metavar="NAME|PATH")], json: Json = False) -> None:
    """Show what is known of one model."""
    bundle = Bundle.open(locate(model))
    facts = _facts(bundle)
    if json:
        print(jsonlib.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        if name != "networks":
            print(f"{name.replace('_', ' '):12} {value}")
    for role, entry in bundle.manifest.networks.items():
        accuracy = f"{entry.psnr:.1f} dB" if entry.psnr is not None else "not measured"
        print(f"{role.replace('_', ' '):12} {entry.file}, {entry.nbits or 16} bits, {accuracy}")


def _facts(bundle: Bundle) -> dict[str, object]:
    manifest = bundle.manifest
    return {
        "model": reference(bundle),
        "name": manifest.name,
        "title": manifest.title,
        "description": manifest.description,
        "licence": manifest.licence,
        "family": manifest.family,
        "width": manifest.width,
        "height": manifest.height,
        "bytes": _bytes(bundle),
        "hash": bundle.hash,
        "path": str(bundle.path),
        "networks": {
            role: {"file": entry.file, "nbits": entry.nbits, "psnr": entry.psnr}
            for role, entry in manifest.networks.items()
        },
    }


def _bytes(bundle: Bundle) -> int:
    return sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file())
