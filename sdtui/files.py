"""Files that a kill, a full disk or a stranger cannot leave half-written or untrustworthy."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sdtui.errors import SdtuiError


class FileError(SdtuiError):
    """A file or folder cannot be used."""


TEMPORARY = ".sdtui-"
"""How the names of files that are not yet whole begin."""

_RANDOM = re.compile(re.escape(TEMPORARY) + "[a-z0-9_]{8}")
_JUST_MADE = 10
"""Seconds that a folder may lie there before it is locked by who made it."""

LEFT_BEHIND = 3600
"""Seconds after which nobody can still be writing such a file."""


def write_atomically(file: Path, content: bytes) -> None:
    """Replace ``file`` by ``content``, or leave it untouched. Raises OSError."""
    with _written(file, content) as temporary:
        temporary.replace(file)


def create_atomically(file: Path, content: bytes) -> None:
    """Make ``file`` with ``content``, or nothing. Raises FileExistsError rather than overwrite; OSError."""
    with _written(file, content) as temporary:
        try:
            os.link(temporary, file)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if file.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from None
            temporary.rename(file)


def create_numbered(folder: Path, stem: str, ending: str, content: bytes) -> Path:
    """Make ``stem`` + ``ending`` in ``folder``, or ``stem-2`` and so on; returns which. Raises OSError."""
    for number in itertools.count(1):
        file = folder / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
        with contextlib.suppress(FileExistsError):
            create_atomically(file, content)
            return file
    raise AssertionError("itertools.count has no end")


@contextlib.contextmanager
def _written(file: Path, content: bytes) -> Iterator[Path]:
    """``content`` on disk beside ``file`` under a temporary name, gone afterwards."""
    temporary = file.with_name(f"{TEMPORARY}{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def create_folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a path to make ``folder`` at; it becomes ``folder`` when the block ends, or vanishes.

    The path has the same name and lies in a hidden folder beside it. What a process that was killed
    left there goes. Raises FileExistsError rather than overwrite; OSError.
    """
    if folder.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep_folders(folder.parent)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as hidden, _locked(Path(hidden)):
        unfinished = Path(hidden) / folder.name
        yield unfinished
        unfinished.rename(folder)


def _sweep_folders(parent: Path) -> None:
    """Remove the hidden folders in ``parent`` that nobody is at work in.

    Only those with the random names of :mod:`tempfile`: conversions that can go on are hidden there too.
    """
    for hidden in filter(lambda each: _RANDOM.fullmatch(each.name), parent.glob(f"{TEMPORARY}*")):
        with contextlib.suppress(OSError):
            if time.time() - hidden.stat().st_mtime > _JUST_MADE:
                with _locked(hidden) as free:
                    if free:
                        shutil.rmtree(hidden)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of ``folder`` as long as this process lives, at most; yields whether it was free."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # or the file system knows no locks
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def sweep(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left in ``folder``."""
    with contextlib.suppress(OSError):
        for file in folder.glob(f"{TEMPORARY}*.tmp"):
            if time.time() - file.stat().st_mtime > LEFT_BEHIND:
                file.unlink()


def read_regular(path: str | Path, limit: int) -> bytes:
    """The content of an ordinary file of at most ``limit`` bytes; a link is followed.

    Raises OSError for anything else: a pipe or a device may keep a reader waiting, or never end.
    """
    try:
        kind = Path(path).stat().st_mode
        if stat.S_ISDIR(kind):
            raise OSError(errno.EISDIR, "it is a folder")
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is not a file")
        with Path(path).open("rb") as file:
            content = file.read(limit + 1)
    except ValueError as error:  # a zero byte in the path
        raise OSError(errno.EINVAL, str(error)) from error
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit // 1_000_000} MB")
    return content


def private_folder(folder: Path) -> Path:
    """Make ``folder`` (mode 0700) and check that it is ours alone: it may lie in a shared place.

    Raises :class:`FileError` when it cannot be made or belongs to someone else.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise FileError(
                f"{folder} cannot be trusted", "it is not a folder of yours", "remove it, or set SDTUI_HOME"
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be used", reason(error), "make it writable, or set SDTUI_HOME"
        ) from error
    return folder


def reason(error: OSError) -> str:
    """Why the system refused, as people read it: ``no space left on device``."""
    why = error.strerror or str(error) or type(error).__name__
    return why[0].lower() + why[1:]
