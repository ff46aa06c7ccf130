"""Single files in the layout of the original Stable Diffusion."""

from __future__ import annotations

from pathlib import Path

from sdtui.convert.checkpoint.checkpoint import Checkpoint, Kind, Progress
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.checkpoint.reading import broken


def open_single_file(file: Path, workspace: Path, progress: Progress) -> Checkpoint:
    """Not there yet."""
    progress(f"reading {file} into {workspace}", 0)
    raise broken(file, "single files are not read yet", "give a folder")


def open_component_file(file: Path, workspace: Path, kind: Kind, progress: Progress) -> Component:
    """Not there yet."""
    progress(f"reading {kind} {file} into {workspace}", 0)
    raise broken(file, "single files are not read yet", "give a folder")
