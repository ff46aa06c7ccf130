"""Checkpoints on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from sdtui.convert.checkpoint.checkpoint import Kind, Progress
from sdtui.convert.source import ConversionError


def download(name: str, progress: Progress, kind: Kind | None = None) -> Path:
    """Not there yet."""
    progress(f"downloading {name} {kind or ''}", 0)
    raise ConversionError(f"{name} is not downloaded", "that is not written yet", "give a folder")
