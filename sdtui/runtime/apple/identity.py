"""How a network on disk is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

_HASHED_AT_ONCE = 1 << 22


def content_sha256(network: Path) -> str:
    """The identity of a network wherever it lies: its files in path order, each with its path and size."""
    digest = hashlib.sha256()
    for file in _files(network):
        digest.update(f"{file.relative_to(network).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(_HASHED_AT_ONCE):
                digest.update(block)
    return digest.hexdigest()


def stamp(network: Path) -> str:
    """Changes when a network's files do, without reading them: their paths, sizes and times."""
    digest = hashlib.sha256()
    for file in _files(network):
        status = file.stat()
        name = file.relative_to(network).as_posix()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\0".encode())
    return digest.hexdigest()[:32]


def size(network: Path) -> int:
    """Bytes of its files."""
    return sum(file.stat().st_size for file in _files(network))


def _files(network: Path) -> Iterator[Path]:
    return iter(sorted(file for file in network.rglob("*") if file.is_file()))
