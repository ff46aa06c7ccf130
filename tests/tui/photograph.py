"""Photographs of the studio: ``python -m tests.tui.photograph out.png --size 160x48``.

``--all FOLDER`` photographs every main screen into FOLDER. ``--convert SOURCE`` photographs the
conversion dialog with the forecast of SOURCE, among the others or alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont

from tests.tui.real_terminal import RealTerminal
from tests.tui.tour import tour

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
    "brightmagenta": "ff55ff",
    "bfightmagenta": "ff55ff",  # as pyte spells it for a ground
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


def keep(image: Image.Image, path: Path) -> None:
    """Write it as small as a PNG can be."""
    image.save(path, optimize=True)


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
    """Open the studio, make pictures, and photograph it when they are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--all", metavar="FOLDER", type=Path, help="photograph every main screen")
    parser.add_argument("--size", default="160x48")
    parser.add_argument("--prompt", action="append", help="repeat it for several pictures")
    parser.add_argument("--step", help="photograph the last picture at this step, such as 12/20")
    parser.add_argument("--press", action="append", help="a key before the photograph; repeat it for several")
    parser.add_argument("--convert", metavar="SOURCE", help="photograph the conversion dialog instead")
    options = parser.parse_args()
    if options.all:
        source = options.convert
        tour(
            lambda terminal, name: keep(photograph(terminal.screen), options.all / f"{name}.png"),
            (lambda terminal: open_conversion(terminal, source)) if source else None,
        )
        return
    if options.output is None:
        parser.error("say where the photograph goes")
    columns, rows = map(int, options.size.split("x"))
    *earlier, last = options.prompt or ["red apple on a blue background"]
    with RealTerminal([sys.executable, "-m", "sdtui"], columns, rows) as terminal:
        terminal.shows("^g generate")
        if options.convert:
            open_conversion(terminal, options.convert)
        else:
            make_pictures(terminal, [*earlier, last], options.step)
        for key in options.press or ():
            terminal.press(key)
            terminal.rest()
        keep(photograph(terminal.screen), options.output)
        terminal.press("ctrl+q")
        terminal.ended()


def make_pictures(terminal: RealTerminal, prompts: Sequence[str], step: str | None) -> None:
    """Make a picture of each prompt, the last one only up to ``step``, if that is given."""
    for prompt in prompts:
        terminal.press("ctrl+u")
        terminal.type(prompt)
        terminal.press("ctrl+g")
        terminal.until(lambda screen: "done in" not in screen, 300)
        terminal.shows(step if step and prompt == prompts[-1] else "done in", 300)
    if not step:
        terminal.rest()


def open_conversion(terminal: RealTerminal, source: str) -> None:
    """Open the conversion dialog, and have the forecast of ``source`` made."""
    terminal.press("ctrl+p")
    terminal.type("convert a model")
    terminal.shows("Make a Core ML model")
    terminal.press("enter")
    terminal.shows("^s convert")
    terminal.type(source)
    terminal.shows("in all", 120)


if __name__ == "__main__":
    main()
