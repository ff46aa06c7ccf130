"""Pictures by kitty's graphics protocol, placed with Unicode placeholders.

A picture is sent once under a small number; where it shows is told by ordinary text cells, whose
colour is that number and whose combining characters are row and column. So the text moves, is covered
and is uncovered like any other, and a new picture under the same number replaces the old one without
a cell drawn anew. https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.cells import RGB
from sdtui.terminal.palette import XTERM_256
from sdtui.terminal.png import png

if TYPE_CHECKING:
    from PIL import Image

CHUNK = 4096
"""Characters of base64 in one command, at most."""
PLACEHOLDER = "\U0010eeee"

_RANGES = """
305 30D-30E 310 312 33D-33F 346 34A-34C 350-352 357 35B 363-36F 483-487 592-595 597-599 59C-5A1 5A8-5A9
5AB-5AC 5AF 5C4 610-617 657-65B 65D-65E 6D6-6DC 6DF-6E2 6E4 6E7-6E8 6EB-6EC 730 732-733 735-736 73A 73D
73F-741 743 745 747 749-74A 7EB-7F1 7F3 816-819 81B-823 825-827 829-82D 951 953-954 F82-F83 F86-F87
135D-135F 17DD 193A 1A17 1A75-1A7C 1B6B 1B6D-1B73 1CD0-1CD2 1CDA-1CDB 1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC
1DD1-1DE6 1DFE 20D0-20D1 20D4-20D7 20DB-20DC 20E1 20E7 20E9 20F0 2CEF-2CF1 2DE0-2DFF A66F A67C-A67D
A6F0-A6F1 A8E0-A8F1 AAB0 AAB2-AAB3 AAB7-AAB8 AABE-AABF AAC1 FE20-FE26 10A0F 10A38 1D185-1D189
1D1AA-1D1AD 1D242-1D244
"""
_ENDS = [[int(end, 16) for end in part.split("-")] for part in _RANGES.split()]
NUMBERS = "".join(chr(code) for ends in _ENDS for code in range(ends[0], ends[-1] + 1))
"""The combining characters that stand for 0, 1, 2 and so on: those above their letter in Unicode 6.0
that normalisation fuses with none."""

LIMIT = len(NUMBERS)
"""Columns and rows that a picture can have, at most."""

_GREYS_OF_THE_CUBE = (59, 102, 145, 188)
_INDEXED: dict[int, RGB] = dict(
    zip((number for number in range(16, 256) if number not in _GREYS_OF_THE_CUBE), XTERM_256, strict=True)
)
IDENTITIES = tuple(_INDEXED)
"""The numbers that a picture can have: colours that arrive as they were meant in 256 colours too."""


def colour_of(identity: int, depth: ColourDepth) -> RGB:
    """The colour of the text cells in which picture number ``identity`` shows.

    With true colours the number is the colour, blue last; with 256 it is the place in the palette,
    told as the very colour that Rich sends as that place.
    """
    return (0, 0, identity) if depth == "truecolor" else _INDEXED[identity]


def transmit(image: Image.Image, identity: int, columns: int, rows: int) -> list[bytes]:
    """The commands that send a picture, or another in its place, for a box of cells; nothing answers them.

    The same number always names the same placement (``p=1``), or Ghostty would pile them up.
    """
    data = base64.standard_b64encode(_encoded(image))
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    keys = f"a=T,U=1,i={identity},p=1,c={columns},r={rows},f=100,q=2,"
    return [
        b"\x1b_G%sm=%d;%s\x1b\\" % (b"q=2," if number else keys.encode(), number < len(parts) - 1, part)
        for number, part in enumerate(parts)
    ]


def place(identity: int, columns: int, rows: int) -> bytes:
    """The command that fits the picture already sent into another box of cells."""
    return f"\x1b_Ga=p,U=1,i={identity},p=1,c={columns},r={rows},q=2\x1b\\".encode()


def ask(identity: int, columns: int, rows: int) -> bytes:
    """The same, answered: ``OK``, or what is wrong, as when the terminal does not have the picture."""
    return f"\x1b_Ga=p,U=1,i={identity},p=1,c={columns},r={rows}\x1b\\".encode()


def delete(identity: int) -> bytes:
    """The command that makes the terminal forget a picture, its data too."""
    return f"\x1b_Ga=d,d=I,i={identity},q=2\x1b\\".encode()


def placeholder(row: int, column: int) -> str:
    """One cell of the picture, as text of width 1."""
    return PLACEHOLDER + NUMBERS[row] + NUMBERS[column]


def following(cells: int) -> str:
    """The cells to the right of a placeholder, which continue it without a word of their own."""
    return PLACEHOLDER * cells


def _encoded(image: Image.Image) -> bytes:
    if image.mode == "RGB":
        return png(image)
    data = BytesIO()
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()
