"""What is remembered of golden latents: numbers in a file, and in a note beside it whose they are. Light."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdtui.bundle import Bundle
from sdtui.doctor.installation import versions
from sdtui.files import FileError, reason, write_atomically
from sdtui.machine import Machine
from sdtui.request import ComputeUnits, Precision
from sdtui.settings import places

EQUAL = 300.0
"""dB: what numbers without a difference are said to agree by."""


class Agreement(msgspec.Struct, frozen=True):
    """PSNR in dB of the last latents, and of the decoded picture; ``EQUAL`` where nothing differs."""

    latents: float
    picture: float

    @property
    def least(self) -> float:
        return min(self.latents, self.picture)

    def __str__(self) -> str:
        if self.least >= EQUAL:
            return "equal"
        return f"latents {self.latents:.0f} dB, picture {self.picture:.0f} dB"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What an update changes."""

    os: str
    build: str
    cpu: str
    versions: dict[str, str]

    @classmethod
    def of(cls, machine: Machine) -> Surroundings:
        return cls(os=machine.os, build=machine.build, cpu=machine.cpu, versions=versions())

    def changes(self, since: Surroundings) -> list[str]:
        """What is other than it was: ``torch 2.12 -> 2.13``."""
        now = {"system": f"{self.os} ({self.build})", "processor": self.cpu, **self.versions}
        then = {"system": f"{since.os} ({since.build})", "processor": since.cpu, **since.versions}
        names = dict.fromkeys((*then, *now))
        return [
            f"{name} {then.get(name, 'none')} -> {now.get(name, 'none')}"
            for name in names
            if then.get(name) != now.get(name)
        ]


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model run one way. Times are ISO 8601, ``checked`` the last comparison."""

    model: str
    hash: str
    compute_units: ComputeUnits
    precision: Precision
    runtime: str
    surroundings: Surroundings
    made: str
    checked: str | None = None
    checked_in: Surroundings | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class Way:
    """How a model is run: one golden each."""

    compute_units: ComputeUnits
    precision: Precision

    @property
    def name(self) -> str:
        return f"{self.compute_units} {self.precision}"


def _folder() -> Path:
    return places().data / "golden"


def files(bundle: Bundle, way: Way) -> tuple[Path, Path]:
    """Where the numbers of a model run one way are kept, and what is known of them."""
    stem = f"{bundle.hash[:32]}-{way.compute_units}-{way.precision}"
    return _folder() / f"{stem}.npz", _folder() / f"{stem}.json"


def all_known() -> Iterator[Remembered]:
    """What is known of every model in every way."""
    for note in sorted(_folder().glob("*.json")):
        if (known := read(note)) is not None:
            yield known


def read(note: Path) -> Remembered | None:
    """What is known of a model run one way; None where that is nothing, or cannot be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return msgspec.json.decode(note.read_bytes(), type=Remembered)
    return None


def keep(output: Path, kept: Path) -> None:
    """Make the numbers in ``output`` those that later ones are held against. Raises :class:`FileError`."""
    _in_place(kept, output.read_bytes())


def write(note: Path, known: Remembered) -> None:
    """Raises :class:`FileError`."""
    _in_place(note, msgspec.json.encode(known))


def _in_place(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    except OSError as error:
        raise FileError(
            f"{file} cannot be written", reason(error), "make room or make it writable"
        ) from error
