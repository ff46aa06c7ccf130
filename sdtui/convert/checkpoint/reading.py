"""Files that strangers made: found inside their folder only, read with bounds."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from sdtui.convert.source import ConversionError
from sdtui.files import reason

JSON_LIMIT = 64 << 20
"""Bytes. A sharded T5's index takes 20 kB, its tokenizer 2.4 MB."""


def broken(file: Path, why: str, remedy: str = "download it again") -> ConversionError:
    """The error for a file that is not what it should be."""
    return ConversionError(f"{file} cannot be read", why, remedy)


def regular_file(file: Path, root: Path) -> Path | None:
    """``file`` if it exists; None if it does not.

    Raises :class:`ConversionError` when it is no regular file (a pipe would wait for ever), or leads
    out of ``root``. Links into the ``blobs`` of the Hub cache that ``root`` lies in are its layout.
    """
    try:
        found = file.resolve(strict=True)
        kind = found.stat().st_mode
    except FileNotFoundError:
        if file.is_symlink():
            raise broken(file, "it is a link to nothing") from None
        return None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        why = reason(error) if isinstance(error, OSError) else "its links lead in a circle"
        raise broken(file, why) from error
    if not any(found.is_relative_to(place) for place in (root.resolve(), *_blobs(root.resolve()))):
        raise broken(file, "it is a link that leads out of its folder", "put the file itself there")
    if not stat.S_ISREG(kind):
        raise broken(file, "it is not a regular file")
    return file


def _blobs(root: Path) -> tuple[Path, ...]:
    """Where the Hub cache keeps the files of ``root``, ``models--<name>/snapshots/<revision>[/...]``."""
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
            return (folder.parent.parent / "blobs",)
    return ()


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``. Raises :class:`ConversionError`."""
    try:
        if file.stat().st_size > JSON_LIMIT:
            raise broken(file, f"it is longer than {JSON_LIMIT >> 20} MB")
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise broken(file, reason(error)) from error
    except (ValueError, RecursionError) as error:  # ValueError: JSON, UTF-8 and absurdly long numbers
        raise broken(file, "it is not JSON in UTF-8") from error
    if not isinstance(content, dict):
        raise broken(file, "it is not a JSON object")
    return content
