"""The trash, emptied: deleted pictures that have lain there long enough, and inputs that nothing names."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from sdtui.history.store import History
from sdtui.settings import Places

DIGEST = re.compile("[0-9a-f]{64}")
"""What kept inputs are called; nothing else in their folder is ours to remove."""

GRACE_SECONDS = 86_400.0
"""An input so young may belong to a request that is still on its way."""


class Emptied(msgspec.Struct, frozen=True):
    """So many pictures and inputs are gone, and ``bytes`` of the disk are free."""

    pictures: int
    inputs: int
    bytes: int


def empty_trash(places: Places, days: float) -> Emptied:
    """Remove what has been in the trash for ``days``, then the kept inputs that nothing names any more.

    Raises :class:`~sdtui.history.HistoryError`.
    """
    if not places.history_file.exists():
        return Emptied(0, 0, 0)
    before = datetime.now(UTC) - timedelta(days=days)
    with History(places.history_file) as history:
        pictures, size = history.empty_trash(places.trash, before)
        inputs = list(_unnamed(history, places))
    for file in inputs:
        size += file.stat().st_size
        file.unlink()
    return Emptied(pictures, len(inputs), size)


def _unnamed(history: History, places: Places) -> Iterator[Path]:
    """Kept inputs whose name stands in no picture's request, nor in any file of ours that holds requests.

    Those are the queue, the conversions, the studio's draft and sheets, and the presets. Where one of
    them cannot be read, every input is named.
    """
    kept = (file for file in _files(places.inputs) if DIGEST.fullmatch(file.stem))
    old = [file for file in kept if time.time() - file.stat().st_mtime > GRACE_SECONDS]
    if not old:
        return
    try:
        texts = [file.read_text(errors="replace") for file in _files(places.state, "*.json*", "*.broken")]
        texts += [file.read_text(errors="replace") for file in _files(places.config, "*.toml")]
    except OSError:
        return
    for file in old:
        if not any(file.stem in text for text in texts) and not history.mentions(file.stem):
            yield file


def _files(folder: Path, *patterns: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return [file for pattern in patterns or ("*",) for file in folder.glob(pattern) if file.is_file()]
    return []
