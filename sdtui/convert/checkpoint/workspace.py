"""The folder where checkpoints are unpacked: whole things only, one process at a time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sdtui.convert.source import ConversionError
from sdtui.files import TEMPORARY, create_folder_atomically, reason


def unpacked(workspace: Path, name: str, unpack: Callable[[Path], None]) -> Path:
    """The folder ``name`` in ``workspace``; where it is missing, ``unpack`` fills it.

    It appears whole or not at all. What a process that was killed has left goes. Raises
    :class:`ConversionError` when it cannot be written.
    """
    folder = workspace / name
    if folder.exists():
        return folder
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        with _alone(workspace):
            for remains in workspace.glob(f"{TEMPORARY}*"):
                shutil.rmtree(remains, ignore_errors=True)
            if not folder.exists():
                with create_folder_atomically(folder) as unfinished:
                    unfinished.mkdir()
                    unpack(unfinished)
    except OSError as error:
        raise ConversionError(
            f"{workspace} cannot be written", reason(error), "make room, or choose another place"
        ) from error
    return folder


@contextmanager
def _alone(workspace: Path) -> Iterator[None]:
    with (workspace / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
