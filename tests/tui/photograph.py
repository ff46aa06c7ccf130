"""Photographs of the studio: ``python -m tests.tui.photograph out.png --size 160x48``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont

from tests.tui.real_terminal import RealTerminal

CELL = (10, 21)
FONT_SIZE = 16
FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono{}.ttf",
    "/System/Library/Fonts/Menlo.ttc",
)
GROUND, INK = "0e0d0c", "ece4d6"
NAMED = {
    "black": "000000",
    "red": "aa0000",
    "green": "00aa00",
    "brown": "aa5500",
    "blue": "0000aa",
    "magenta": "aa00aa",
    "cyan": "00aaaa",
    "white": "aaaaaa",
    "brightblack": "555555",
    "brightred": "ff5555",
    "brightgreen": "55ff55",
    "brightbrown": "ffff55",
    "brightblue": "5555ff",
    "bfightmagenta": "ff55ff",
    "brightcyan": "55ffff",
    "brightwhite": "ffffff",
}
EIGHTHS = "▁▂▃▄▅▆▇█"


def photograph(screen: pyte.Screen) -> Image.Image:
    """The screen as a terminal would draw it; blocks and lines meet without gaps."""
    width, height = CELL
    image = Image.new("RGB", (screen.columns * width, screen.lines * height), f"#{GROUND}")
    draw = ImageDraw.Draw(image)
    fonts = {bold: _font(bold) for bold in (False, True)}
    for row in range(screen.lines):
        for column in range(screen.columns):
            char = screen.buffer[row][column]
            ink, ground = _colour(char.fg, INK), _colour(char.bg, GROUND)
            if char.reverse:
                ink, ground = ground, ink
            left, top = column * width, row * height
            draw.rectangle((left, top, left + width - 1, top + height - 1), fill=ground)
            if not _draw_block(draw, char.data, left, top, ink):
                draw.text((left, top + 1), char.data, font=fonts[char.bold], fill=ink)
            if char.underscore:
                draw.line((left, top + height - 3, left + width - 1, top + height - 3), fill=ink)
    cursor = screen.cursor
    if not cursor.hidden:
        draw.rectangle(
            (cursor.x * width, cursor.y * height, cursor.x * width + 1, (cursor.y + 1) * height - 1), fill=INK
        )
    return image


def _draw_block(draw: ImageDraw.ImageDraw, char: str, left: int, top: int, ink: str) -> bool:
    """Draw a character that has to fill its cell exactly; False for any other."""
    width, height = CELL
    right, bottom, middle = left + width - 1, top + height - 1, top + height // 2
    centre = left + width // 2
    match char:
        case "▀":
            draw.rectangle((left, top, right, middle - 1), fill=ink)
        case "▄":
            draw.rectangle((left, middle, right, bottom), fill=ink)
        case "─":
            draw.line((left, middle, right, middle), fill=ink)
        case "━":
            draw.rectangle((left, middle - 1, right, middle + 1), fill=ink)
        case "╸":
            draw.rectangle((left, middle - 1, centre, middle + 1), fill=ink)
            draw.line((centre, middle, right, middle), fill=ink)
        case "│":
            draw.line((centre, top, centre, bottom), fill=ink)
        case _ if char and char in EIGHTHS:
            level = round(height * (EIGHTHS.index(char) + 1) / 8)
            draw.rectangle((left, bottom - level + 1, right, bottom), fill=ink)
        case _:
            return False
    return True


def _colour(name: str, default: str) -> str:
    return f"#{default if name == 'default' else NAMED.get(name, name)}"


def _font(bold: bool) -> ImageFont.FreeTypeFont:
    for pattern in FONTS:
        path = Path(pattern.format("-Bold" if bold else ""))
        if path.exists():
            return ImageFont.truetype(str(path), FONT_SIZE)
    raise SystemExit("there is no DejaVu Sans Mono or Menlo here to write with")


def main() -> None:
    """Open the studio, generate, and photograph it when the picture is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", default="160x48")
    parser.add_argument("--prompt", default="red apple on a blue background")
    parser.add_argument("--step", help="photograph at this step, such as 12/20, instead of the end")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    command = [sys.executable, "-m", "sdtui"]
    with RealTerminal(command, columns, rows) as terminal:
        terminal.shows("warm", 60)
        terminal.type(options.prompt)
        terminal.press("ctrl+g")
        terminal.shows(options.step or "done in", 300)
        while terminal.read(0.5):
            pass
        photograph(terminal.screen).save(options.output)
        terminal.press("ctrl+q")
        terminal.ended()


if __name__ == "__main__":
    main()
