"""Where things lie: can they be written, how much do they take, how much is left."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sdtui.conversion_page import amount
from sdtui.doctor.finding import Finding, problem
from sdtui.files import reason
from sdtui.settings import Places, SettingsError, load_settings, places

SECTION = "folders"
SCARCE = 1_000_000_000
"""Free bytes below which a picture may still be saved, but hardly a model."""


def folders() -> Iterator[Finding]:
    """The folders of this person's sdtui, and the settings in one of them."""
    here = places()
    for name, folder in _named(here).items():
        yield _folder(name, folder)
    yield _runtime(here.runtime)
    try:
        load_settings()
    except SettingsError as error:
        yield problem(SECTION, "settings", error)
    else:
        there = here.settings_file.exists()
        yield Finding(
            section=SECTION, subject="settings", told=str(here.settings_file) if there else "the defaults"
        )


def held(folder: Path) -> int:
    """Bytes of the files below ``folder``, one under several names counted once."""
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = (Path(parent) / name).lstat()
            except OSError:
                continue
            sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())


def _named(here: Places) -> dict[str, Path]:
    return {
        "config": here.config,
        "data": here.data,
        "models": here.models,
        "pictures": here.pictures,
        "cache": here.cache,
        "state": here.state,
    }


def _folder(name: str, folder: Path) -> Finding:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        # os.access would not know of read-only disks, nor of what root may not.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(
            section=SECTION, subject=name, level="problem",
            told=f"{folder} cannot be written: {reason(error)}",
            remedy="make it writable, or set SDTUI_HOME",
            figures={"path": str(folder), "writable": False},
        )  # fmt: skip
    size, free = held(folder), shutil.disk_usage(existing).free
    told = f"{folder}, {amount(size)}" if existing == folder else f"{folder}, not yet made"
    scarce = free < SCARCE
    return Finding(
        section=SECTION, subject=name, level="note" if scarce else "ok", told=f"{told}, {amount(free)} free",
        remedy="make room on its disk" if scarce else "",
        figures={
            "path": str(folder), "exists": existing == folder, "writable": True, "bytes": size, "free": free
        },
    )  # fmt: skip


def _runtime(folder: Path) -> Finding:
    """The folder of the engine's socket, which must be this person's alone."""
    figures: dict[str, str | int | float | bool | None] = {"path": str(folder)}
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return Finding(section=SECTION, subject="runtime", told=f"{folder}, not yet made", figures=figures)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return Finding(
            section=SECTION, subject="runtime", level="problem", told=f"{folder} is not a folder of yours",
            remedy="remove it, or set SDTUI_HOME", figures=figures,
        )  # fmt: skip
    if (mode := stat.S_IMODE(found.st_mode)) != 0o700:
        return Finding(
            section=SECTION, subject="runtime", level="note",
            told=f"{folder} is open to others (mode {mode:o})", remedy="the next engine closes it",
            figures=figures,
        )  # fmt: skip
    return Finding(section=SECTION, subject="runtime", told=str(folder), figures=figures)
