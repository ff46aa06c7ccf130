"""Ways to damage a network's folder: the content of its files, and which files there are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.runtime.fuzz.edits import CONTENT

HOLE = 1 << 36
"""Bytes of emptiness added to a file, which take no space on disk."""

Mutation = Callable[[Random, Path, Sequence[Path]], None]
"""Damages a folder; the last argument is where other networks of its kind lie."""


def mutated(random: Random, samples: Sequence[Path], folder: Path) -> tuple[Path, str]:
    """A copy of one of ``samples`` in ``folder`` with one damage, and what was done to it."""
    sample = random.choice(samples)
    copy = folder / sample.name
    shutil.copytree(sample, copy)
    endings = {file.suffix for file in _files(copy)}
    possible = [name for name, edits in CONTENT.items() if "" in edits or endings & edits.keys()]
    name = random.choice((*possible, *FOLDER))
    if name in FOLDER:
        FOLDER[name](random, copy, samples)
    else:
        _damage(random, copy, name)
    return copy, name


def _damage(random: Random, folder: Path, name: str) -> None:
    edits = CONTENT[name]
    file = random.choice([file for file in _files(folder) if "" in edits or file.suffix in edits])
    edit = edits.get(file.suffix) or edits[""]
    file.write_bytes(edit(random, file.read_bytes()))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _exchanged(random: Random, folder: Path, _samples: Sequence[Path]) -> None:
    """Two of its files have each other's names."""
    one, other = random.sample(_files(folder), 2)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _strange(random: Random, folder: Path, samples: Sequence[Path]) -> None:
    """One of its files is another network's."""
    file, other = random.choice(_files(folder)), random.choice(samples)
    theirs = other / file.relative_to(folder)
    file.write_bytes(theirs.read_bytes() if theirs.is_file() else b"")


def _missing(random: Random, folder: Path, _samples: Sequence[Path]) -> None:
    victim = random.choice(sorted(folder.rglob("*")))
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()


def _no_file(random: Random, folder: Path, _samples: Sequence[Path]) -> None:
    """Where a file belongs stands a folder, a link to itself, or a pipe that nobody writes to."""
    file = random.choice(_files(folder))
    file.unlink()
    random.choice((Path.mkdir, lambda path: path.symlink_to(path), os.mkfifo))(file)


def _grown(random: Random, folder: Path, _samples: Sequence[Path]) -> None:
    """A file is larger than memory, and nearly all of it is nothing."""
    os.truncate(random.choice(_files(folder)), HOLE)


FOLDER: dict[str, Mutation] = {
    "files exchanged": _exchanged,
    "another's file": _strange,
    "something missing": _missing,
    "no file": _no_file,
    "larger than memory": _grown,
}
