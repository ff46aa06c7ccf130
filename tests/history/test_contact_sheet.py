"""Contact sheets, by their pixels."""

from __future__ import annotations

from PIL import Image, ImageChops

from sdtui.history.contact_sheet import GAP, LARGEST, contact_sheet

COLOURS = ("red", "lime", "blue", "yellow", "aqua", "magenta")


def pictures(size: tuple[int, int] = (80, 60)) -> list[Image.Image | None]:
    return [Image.new("RGB", size, colour) for colour in COLOURS]


def centres(sheet: Image.Image, columns: int, rows: int, size: tuple[int, int] = (80, 60)) -> list[object]:
    """The colour in the middle of each cell, counted from the lower right corner."""
    return [
        sheet.getpixel(
            (
                sheet.width - (columns - column) * (size[0] + GAP) + size[0] // 2,
                sheet.height - (rows - row) * (size[1] + GAP) + size[1] // 2,
            )
        )
        for row in range(rows)
        for column in range(columns)
    ]


def test_the_pictures_are_whole_and_in_their_order() -> None:
    sheet = contact_sheet(pictures(), ["1", "2", "3"], ["a", "b"], "red apple")
    assert centres(sheet, 3, 2) == [Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in COLOURS]
    counted = {colour: count for count, colour in sheet.getcolors(1 << 16) or []}
    assert counted[(255, 0, 0)] == 80 * 60 == counted[(0, 0, 255)]


def test_labels_and_title_are_written_outside_the_pictures() -> None:
    plain = contact_sheet(pictures(), ["", "", ""], ["", ""], "")
    labelled = contact_sheet(pictures(), ["steps 10", "20", "30"], ["euler", "ddim"], "red apple")
    assert labelled.width > plain.width
    assert labelled.height > plain.height
    ink = ImageChops.invert(labelled.crop((0, 0, labelled.width - 3 * (80 + GAP), labelled.height))).getbbox()
    assert ink is not None, "the row's label stands at the left"


def test_what_was_not_made_leaves_its_cell() -> None:
    made = pictures()
    made[1] = None
    sheet = contact_sheet(made, ["1", "2", "3"], ["a", "b"], "")
    assert centres(sheet, 3, 2)[0] == (255, 0, 0)
    assert centres(sheet, 3, 2)[2] == (0, 0, 255)
    assert (0, 255, 0) not in [colour for _, colour in sheet.getcolors(1 << 16) or []]


def test_long_labels_are_broken_and_a_huge_sheet_is_made_smaller() -> None:
    row = contact_sheet(pictures((900, 20)) * 5, [f"{n} " * 60 for n in range(30)], [""], "word " * 300)
    assert row.width <= LARGEST
    assert len(row.getcolors(1 << 24) or []) > 6
