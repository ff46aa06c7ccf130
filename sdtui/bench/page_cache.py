"""What of some files the system holds in memory already: the difference between a cold and a warm load."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

PAGE = mmap.PAGESIZE


def forget(files: Iterable[Path]) -> None:
    """Have the system drop these files from its page cache, where it lets us (Linux).

    Pages that another process has mapped stay; what is not yet on disk is written first.
    """
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            advise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached(files: Iterable[Path]) -> float | None:
    """The part of these files' pages that is in memory, 0 to 1; None where the system does not say."""
    held = pages = 0
    for file in files:
        found = _resident(file)
        if found is None:
            return None
        held += int(found.sum())
        pages += found.size
    return held / pages if pages else None


def _resident(file: Path) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """For each page of ``file`` whether it is in memory: mincore(2) on a mapping that reads nothing."""
    size = file.stat().st_size
    states = np.zeros(-(-size // PAGE), np.uint8)
    if not size:
        return states.astype(bool)
    mincore = getattr(ctypes.CDLL(None, use_errno=True), "mincore", None)
    if mincore is None:
        return None
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = np.frombuffer(mapped, np.uint8)
        failed = mincore(
            ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(size), ctypes.c_void_p(states.ctypes.data)
        )
        del view  # or the mapping could not be closed
    return None if failed else (states & 1).astype(bool)
