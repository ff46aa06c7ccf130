"""What a terminal answers to questions, told apart from what a person types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

PROBED = 1
"""The number that the question for graphics names; no picture has it."""


class Version(NamedTuple):
    """XTVERSION: name and version, as in ``kitty(0.41.1)`` or ``tmux 3.5a``."""

    text: str


class Attributes(NamedTuple):
    """Primary device attributes; every terminal answers, and last, so it closes a batch of questions."""

    numbers: frozenset[int]


class Graphics(NamedTuple):
    """The answer to a graphics command of kitty's protocol about the picture of a number."""

    identity: int
    text: str

    @property
    def probing(self) -> bool:
        """Whether it answers the question if there are graphics at all."""
        return self.identity == PROBED


class CellSize(NamedTuple):
    """Pixels."""

    width: int
    height: int


class WindowSize(NamedTuple):
    """Pixels of the text area."""

    width: int
    height: int


class Ready(NamedTuple):
    """Everything sent before the question has been worked off (the answer to ``CSI 5 n``)."""


Answer = Version | Attributes | Graphics | CellSize | WindowSize | Ready


@dataclass(frozen=True)
class Report:
    """All that a terminal answered to one batch of questions."""

    version: str | None = None
    attributes: frozenset[int] = frozenset()
    kitty_graphics: bool = False
    cell: CellSize | None = None
    window: WindowSize | None = None
    complete: bool = False

    def hearing(self, answers: Iterable[Answer]) -> Report:
        """The report with these answers in it."""
        report = self
        for answer in answers:
            match answer:
                case Version(text):
                    report = replace(report, version=text)
                case Graphics(text=text) if answer.probing:
                    report = replace(report, kitty_graphics=text == "OK")
                case CellSize(width, height) if width and height:
                    report = replace(report, cell=answer)
                case WindowSize(width, height) if width and height:
                    report = replace(report, window=answer)
                case Attributes(numbers):
                    report = replace(report, attributes=numbers, complete=True)
                case _:
                    pass
        return report


_ANSWER = re.compile(
    rb"\x1b_Gi=(?P<identity>\d{1,10})[^\x1b;]*;(?P<graphics>[^\x1b]*)\x1b\\"
    rb"|\x1bP>\|(?P<version>[^\x1b]*)\x1b\\"
    rb"|\x1b\[\?(?P<attributes>[\d;]*)c"
    rb"|\x1b\[(?P<measure>[46]);(?P<height>\d{1,6});(?P<width>\d{1,6})t"
    rb"|\x1b\[(?P<ready>[03])n"
)
_BEGINNING = re.compile(
    rb"\x1b(?:_(?:G[^\x1b]{0,400}(?:\x1b)?)?|P(?:>(?:\|[^\x1b]{0,400}(?:\x1b)?)?)?"
    rb"|\[(?:\?[\d;]{0,80}|[46](?:;\d{0,6}){0,2}|[03])?)?\Z"
)


def sift(data: bytes) -> tuple[bytes, list[Answer], bytes]:
    """Split what was read into (typed, answers, held).

    ``held`` is the beginning of what may become an answer: it belongs before what is read next, or,
    when nothing more comes, to what was typed (a lone escape is a key).
    """
    beginning = _BEGINNING.search(data)
    held = beginning.group() if beginning else b""
    data = data[: len(data) - len(held)]
    return _ANSWER.sub(b"", data), [_answer(found) for found in _ANSWER.finditer(data)], held


def _answer(found: re.Match[bytes]) -> Answer:
    match found.lastgroup:
        case "graphics":
            return Graphics(int(found["identity"]), found["graphics"].decode("ascii", "replace"))
        case "version":
            return Version(found["version"].decode("utf-8", "replace"))
        case "attributes":
            return Attributes(frozenset(int(part) for part in found["attributes"].split(b";") if part))
        case "width":
            size = int(found["width"]), int(found["height"])
            return CellSize(*size) if found["measure"] == b"6" else WindowSize(*size)
        case _:
            return Ready()
