"""Many pictures on one, in rows and columns with their labels."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

LARGEST = 8192
"""Pixels along a side: the pictures are made smaller where the sheet would have more."""
GAP = 8
GROUND, INK, FAINT = "#ffffff", "#1a1a1a", "#b0b0b0"


def contact_sheet(
    pictures: Sequence[Image.Image | None], columns: Sequence[str], rows: Sequence[str], title: str
) -> Image.Image:
    """The ``pictures``, row by row, under the labels ``columns`` and beside the labels ``rows``.

    All cells have the size of the largest picture; None leaves its cell crossed out. ``title`` stands
    above. The sheet has RGB pixels on white, at most :data:`LARGEST` along a side.
    """
    made = [picture for picture in pictures if picture is not None]
    width = max((picture.width for picture in made), default=64)
    height = max((picture.height for picture in made), default=64)
    scale = min(
        1.0, LARGEST / ((width + GAP) * (len(columns) + 1)), LARGEST / ((height + GAP) * (len(rows) + 1))
    )
    cell = max(1, round(width * scale)), max(1, round(height * scale))
    font = _font(max(10, min(cell[0] // 10, 40)))
    above = [_broken(label, font, cell[0]) for label in columns]
    beside = [_broken(label, font, cell[0]) for label in rows]
    heading = _broken(title, font, len(columns) * (cell[0] + GAP))
    left = GAP + max((_size(label, font)[0] for label in beside), default=0) + GAP
    top = GAP + _size(heading, font)[1] + GAP + max(_size(label, font)[1] for label in above) + GAP
    sheet = Image.new(
        "RGB", (left + len(columns) * (cell[0] + GAP), top + len(rows) * (cell[1] + GAP)), GROUND
    )
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((left, GAP), heading, fill=INK, font=font)
    for index, label in enumerate(above):
        taken = _size(label, font)
        place = left + index * (cell[0] + GAP) + (cell[0] - taken[0]) // 2, top - GAP - taken[1]
        draw.multiline_text(place, label, fill=INK, font=font, align="center")
    for index, label in enumerate(beside):
        taken = _size(label, font)
        place = left - GAP - taken[0], top + index * (cell[1] + GAP) + (cell[1] - taken[1]) // 2
        draw.multiline_text(place, label, fill=INK, font=font, align="right")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, len(columns))
        corner = left + column * (cell[0] + GAP), top + row * (cell[1] + GAP)
        if picture is None:
            opposite = corner[0] + cell[0] - 1, corner[1] + cell[1] - 1
            draw.rectangle((*corner, *opposite), outline=FAINT)
            draw.line((*corner, *opposite), fill=FAINT)
        else:
            shown = picture.convert("RGB")
            if scale < 1:
                fitted = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
                shown = shown.resize(fitted, Image.Resampling.LANCZOS)
            sheet.paste(shown, corner)
    return sheet


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """``text`` with line breaks between its words, so that it is about ``width`` pixels wide."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _size(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=font)
    return round(box[2]), round(box[3])
