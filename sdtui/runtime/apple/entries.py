"""The compiled networks on disk: how many, how large, and which of them can go."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sdtui.files import TEMPORARY
from sdtui.runtime.apple.identity import size
from sdtui.runtime.apple.lock import FileLock
from sdtui.runtime.apple.record import Record, read_record
from sdtui.settings import load_settings, places

_LOCKS = ".locks"


@dataclass(frozen=True)
class Entry:
    """A compiled network. ``bytes`` is what it takes here: nearly nothing for one used in place."""

    folder: Path
    record: Record
    bytes: int

    @property
    def orphaned(self) -> bool:
        """Whether none of the networks is left that it was compiled from."""
        return not any(Path(source).exists() for source in self.record.sources)


def cache_folder() -> Path:
    """Where this person's compiled networks lie."""
    return places().compiled


def cache_limit() -> int:
    """Bytes that they may take together. Raises :class:`~sdtui.settings.SettingsError`."""
    return int(load_settings().compiled_cache_gigabytes * 1e9)


def cache_entries(folder: Path | None = None) -> list[Entry]:
    """The compiled networks, the least recently used first; what is no whole entry is left out."""
    folder = folder or cache_folder()
    entries = []
    for each in folder.iterdir() if folder.is_dir() else ():
        if not each.name.startswith(".") and (record := read_record(each)):
            entries.append(Entry(each, record, size(each)))
    return sorted(entries, key=lambda entry: entry.record.used)


def compiled_bytes(model: Path) -> int:
    """What the compiled networks of the model in this folder take."""
    root = model.resolve()
    return sum(
        entry.bytes
        for entry in cache_entries()
        if any(Path(source).is_relative_to(root) for source in entry.record.sources)
    )


def prune(limit: int, folder: Path | None = None) -> list[Entry]:
    """Remove compiled networks until the rest take ``limit`` bytes at most; returns what went.

    Those whose model is gone go first, then the least recently used; none that a process uses. What
    a killed process has left goes always.
    """
    folder = folder or cache_folder()
    _sweep(folder)
    entries = cache_entries(folder)
    total, removed = sum(entry.bytes for entry in entries), []
    for entry in sorted(entries, key=lambda entry: not entry.orphaned):
        if total <= limit:
            break
        if remove(entry.folder):
            total -= entry.bytes
            removed.append(entry)
    return removed


def lock_of(folder: Path) -> FileLock:
    """The lock of the entry at ``folder``, which need not exist. Raises OSError."""
    return FileLock(folder.parent / _LOCKS / folder.name)


def remove(folder: Path) -> bool:
    """Remove the entry at ``folder`` unless it is in use; whether it is gone."""
    lock = lock_of(folder)
    try:
        if not lock.try_own():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    finally:
        lock.release()


def unfinished(folder: Path) -> Path:
    """Where the entry at ``folder`` is made, by one who holds its lock alone."""
    return folder.with_name(f"{TEMPORARY}{folder.name}")


def _sweep(folder: Path) -> None:
    """Remove what was being made by a process that was killed, and what is no entry (any more)."""
    for each in folder.iterdir() if folder.is_dir() else ():
        name = each.name.removeprefix(TEMPORARY)
        if name != each.name or (not name.startswith(".") and read_record(each) is None):
            lock = lock_of(folder / name)
            if lock.try_own():
                shutil.rmtree(each, ignore_errors=True)
            lock.release()
