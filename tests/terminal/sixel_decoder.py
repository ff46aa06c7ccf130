"""Sixels back into pixels, as a terminal would draw them: independent of the encoder."""

from __future__ import annotations

import re

RGB = tuple[int, int, int]

_TOKEN = re.compile(
    r'"(?P<raster>[\d;]+)|#(?P<colour>\d+)(?:;(?P<definition>2;\d+;\d+;\d+))?'
    r"|!(?P<count>\d+)(?P<repeated>[?-~])|(?P<move>[$-])|(?P<one>[?-~])"
)


def decode(sequence: bytes) -> tuple[tuple[int, int], dict[tuple[int, int], RGB]]:
    """The size that the sequence claims, and the pixels that it draws, levels rounded to 255ths.

    Raises ValueError for anything that is not a well-formed sixel sequence.
    """
    text = sequence.decode("ascii")
    framed = re.fullmatch(r"\x1bP([\d;]*)q(.*)\x1b\\", text, re.DOTALL)
    if framed is None:
        raise ValueError("not framed as DCS … q … ST")
    body, place, size = framed[2], 0, (0, 0)
    palette: dict[int, RGB] = {}
    pixels: dict[tuple[int, int], RGB] = {}
    colour, x, y = 0, 0, 0
    while place < len(body):
        token = _TOKEN.match(body, place)
        if token is None:
            raise ValueError(f"what is {body[place : place + 10]!r}?")
        place = token.end()
        if token["raster"]:
            _, _, width, height = map(int, token["raster"].split(";"))
            size = width, height
        elif token["colour"]:
            colour = int(token["colour"])
            if token["definition"]:
                red, green, blue = (
                    round(int(part) * 255 / 100) for part in token["definition"].split(";")[1:]
                )
                palette[colour] = red, green, blue
        elif token["move"]:
            x, y = 0, y + 6 * (token["move"] == "-")
        else:
            bits = ord(token["repeated"] or token["one"]) - 63
            end = x + int(token["count"] or 1)
            for column in range(x, end):
                for row in range(6):
                    if bits >> row & 1:
                        pixels[column, y + row] = palette[colour]
            x = end
    return size, pixels
