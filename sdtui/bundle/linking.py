"""The same files in a second place, at the cost of no disk where the file system can do that."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

_FICLONE = 0x40049409
"""ioctl(2) of Linux file systems that share blocks: Btrfs, XFS, bcachefs."""
_IMPOSSIBLE = {
    errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL,
    errno.ENOSYS, errno.EMLINK, errno.EBADF, errno.ETXTBSY,
}  # fmt: skip
"""How systems say that they cannot share these two files. Anything else, a full disk say, is an error."""


Put = Callable[[Path, Path], None]
"""How a file gets from the first path to the second: :func:`place_file` or :func:`copy_file`."""


def place_folder(source: Path, target: Path, put: Put) -> None:
    """Make the folder ``target`` with every file below ``source``. Raises OSError."""
    for file in sorted(each for each in source.rglob("*") if each.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        put(file, place)


def place_file(source: Path, target: Path) -> None:
    """Make ``target`` the same as ``source``: a clone, else a hard link, else a copy.

    A clone comes first: it stays as it is when its original is written to. Raises OSError; an existing
    ``target`` is never overwritten.
    """
    source = source.resolve(strict=True)
    _check_regular(source)
    if not _clone(source, target) and not _link(source, target):
        copy_file(source, target)


def copy_file(source: Path, target: Path) -> None:
    """Make ``target`` a copy that shares nothing it can be changed by. Raises OSError."""
    source = source.resolve(strict=True)
    _check_regular(source)
    if not _clone(source, target):
        with source.open("rb") as content, target.open("xb") as stream:
            shutil.copyfileobj(content, stream, 1 << 22)


def _clone(source: Path, target: Path) -> bool:
    if sys.platform == "darwin":
        return _clone_on_macos(source, target)
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as original, target.open("xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
            return True
        except OSError as error:
            target.unlink()
            if error.errno not in _IMPOSSIBLE:
                raise
            return False


def _clone_on_macos(source: Path, target: Path) -> bool:
    """clonefile(2), which APFS has."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.clonefile(os.fsencode(source), os.fsencode(target), 0) == 0:
        return True
    number = ctypes.get_errno()
    if number not in _IMPOSSIBLE:
        raise OSError(number, os.strerror(number), str(target))
    return False


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
        return True
    except OSError as error:
        if error.errno not in _IMPOSSIBLE:
            raise
        return False


def _check_regular(source: Path) -> None:
    """A pipe would be waited for, a device never end."""
    if not stat.S_ISREG(source.stat().st_mode):
        raise OSError(errno.EINVAL, f"{source.name} is not a regular file", str(source))
