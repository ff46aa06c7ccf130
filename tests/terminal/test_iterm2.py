"""iTerm2's inline images: PIL finds the picture again."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import pytest
from PIL import Image

from sdtui.terminal.iterm2 import LIMIT, inline
from tests.terminal.pictures import photograph

SEQUENCE = re.compile(rb"\x1b\]1337;File=([^:]+):([A-Za-z0-9+/=]+)\x07")


def parts(sequence: bytes) -> tuple[dict[str, str], Image.Image]:
    """The arguments and the picture."""
    found = SEQUENCE.fullmatch(sequence)
    assert found, sequence[:80]
    arguments = dict(part.split("=") for part in found[1].decode().split(";"))
    data = base64.b64decode(found[2], validate=True)
    assert arguments["size"] == str(len(data))
    return arguments, Image.open(BytesIO(data))


def test_the_picture_fills_its_cells_and_leaves_the_cursor() -> None:
    arguments, shown = parts(inline(Image.new("RGB", (64, 48), (200, 30, 90)), 12, 7))
    assert shown.size == (64, 48)
    del arguments["size"]
    assert arguments == {
        "inline": "1", "width": "12", "height": "7", "preserveAspectRatio": "0", "doNotMoveCursor": "1",
    }  # fmt: skip
    assert shown.convert("RGB").getpixel((30, 20)) == (200, 30, 90)


def test_detail_is_kept_where_there_is_room_for_it() -> None:
    picture = photograph()
    assert parts(inline(picture, 30, 15))[1].tobytes() == picture.tobytes()
    assert parts(inline(picture, 30, 15, 200_000))[1].format == "JPEG"


@pytest.mark.parametrize("budget", [40_000, 60_000, 120_000])
def test_a_budget_is_kept_by_quality(budget: int) -> None:
    noise = Image.merge("RGB", [Image.effect_noise((256, 256), level) for level in (50, 70, 90)])
    free, saving = inline(noise, 30, 15), inline(noise, 30, 15, budget)
    assert len(saving) < len(free)
    assert len(saving) <= max(budget + 200, 75_000), "the poorest quality is as small as it gets"


def test_the_limit_of_iterm2_is_kept_by_the_worst_picture() -> None:
    noise = Image.merge("RGB", [Image.effect_noise((1024, 1024), level) for level in (90, 120, 150)])
    assert len(inline(noise, 100, 50)) <= LIMIT + 200
