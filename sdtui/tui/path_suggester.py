"""Completes what a person writes of a path."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.suggester import Suggester

ENDING = ".safetensors"


class PathSuggester(Suggester):
    """Completes the last item of a list with commas: folders, and files that hold weights."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        item = value.rpartition(",")[2].lstrip()
        completed = await asyncio.to_thread(completion, item) if item else None
        return value + completed if completed else None


def completion(text: str) -> str | None:
    """What may follow ``text``: the rest of the first name that begins so, with ``/`` after a folder's."""
    folder, _, begun = text.rpartition("/")
    root = Path(folder + "/").expanduser() if "/" in text else Path()
    try:
        with os.scandir(root) as found:
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in found
                if entry.name.startswith(begun) and (entry.is_dir() or entry.name.endswith(ENDING))
            )
    except OSError:
        return None
    shown = [name for name in names if begun or not name.startswith(".")]
    return shown[0][len(begun) :] if shown else None
