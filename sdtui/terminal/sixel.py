"""Pictures as sixels: bands of six pixel rows, one run of characters for each colour in a band.

The format is DEC's, https://vt100.net/docs/vt3xx-gp/chapter14.html. The encoder needs nothing but PIL,
so the interface stays without numpy.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from sdtui.terminal.columns import GAP, bands
from sdtui.terminal.quantization import in_few_colours

if TYPE_CHECKING:
    from PIL import Image

COLOURS = 255
SELECTIONS = [b"#%d" % (number - 1) for number in range(COLOURS + 1)]
"""Of each colour number. The terminal's registers count from 0: tmux 3.5 tells the first of them wrongly
when none is defined as 0."""
LONGEST = 63
"""Of a run, as PCX counts it."""
FULL = b"~"
"""The character of a column of six pixels."""


def sixels(image: Image.Image, colours: int = COLOURS) -> bytes:
    """The sequence that draws a picture pixel for pixel, its top left corner at the cursor.

    It has at most ``colours`` (2 to 255) of its own. Pixels below the picture's last row, in the last
    band, are left as they are. The terminal's cursor ends below it, and a terminal whose last row is
    touched scrolls: keep away from it, and put the cursor back.
    """
    indexed = in_few_colours(image.convert("RGB"), colours)
    numbers, definitions = _numbered(indexed)
    # P1 = 7: square pixels; P2 = 1: what no colour covers stays.
    head = f'\x1bP7;1q"1;1;{indexed.width};{indexed.height}'.encode()
    return b"".join((head, *definitions, *_body(numbers), b"\x1b\\"))


def _numbered(indexed: Image.Image) -> tuple[Image.Image, list[bytes]]:
    """Each pixel's colour number, from 1 (mode L), and the colours' definitions, the most used first."""
    from PIL import Image

    counts, levels = indexed.histogram(), indexed.getpalette("RGB") or []
    order = sorted((index for index in range(256) if counts[index]), key=lambda index: -counts[index])
    number_of, definitions = [0] * 256, []
    for number, index in enumerate(order, 1):
        number_of[index] = number
        percents = (round(level * 100 / 255) for level in levels[3 * index : 3 * index + 3])
        definitions.append(SELECTIONS[number] + b";2;%d;%d;%d" % tuple(percents))
    return Image.frombytes("L", indexed.size, indexed.tobytes()).point(number_of), definitions


def _body(numbers: Image.Image) -> Iterator[bytes]:
    """All bands: ``$`` goes back to the left, ``-`` on to the next band."""
    selections: list[bytes] = []
    columns: list[bytes] = []
    move = b""
    for band in bands(numbers):
        for strokes in _passes(band):
            for colour, characters in strokes:
                selections.append(move + SELECTIONS[colour])
                columns.append(characters)
                move = b""
            move = b"$"
        move = b"-"
    counted = _counted(b"\n".join(columns), numbers.width).split(b"\n")
    return chain.from_iterable(zip(selections, counted, strict=True))


def _passes(band: dict[int, bytearray]) -> list[list[tuple[int, bytes]]]:
    """Colours and their characters, those in one list one to the right of the other."""
    passes: list[list[tuple[int, bytes]]] = []
    ends: list[tuple[int, int]] = []
    strokes = [(plane.find((drawn := plane.strip(GAP))[0]), colour, drawn) for colour, plane in band.items()]
    for begin, colour, drawn in sorted(strokes):
        # After the pass that ends nearest to it.
        place = bisect_right(ends, (begin, len(passes))) - 1
        end, number = ends.pop(place) if place >= 0 else (0, len(passes))
        if place < 0:
            passes.append([])
        passes[number].append((colour, GAP * (begin - end) + drawn))
        insort(ends, (begin + len(drawn), number))
    return passes


def _counted(characters: bytes, width: int) -> bytes:
    """Equal characters beside each other counted: three become ``!3`` and the character.

    PIL counts them on its way to another format, PCX, of which only the numbers are replaced.
    """
    from PIL import Image

    size = len(characters)
    data = Image.frombuffer("L", (size, 1), characters).tobytes("pcx", ("L", 8 * size)).rstrip(b"\0")
    for times in range(width // LONGEST, 1, -1):
        for character in (GAP, FULL):
            data = data.replace((_run(LONGEST) + character) * times, b"!%d%s" % (LONGEST * times, character))
    first, *twice = data.split(_run(2))
    data = b"".join((first, *[after[:1] + after for after in twice]))
    for length in range(3, LONGEST + 1):
        data = data.replace(_run(length), b"!%d" % length)
    return data


def _run(length: int) -> bytes:
    """What PCX has before a character to be repeated."""
    return bytes((0xC0 | length,))
