"""Pictures in few colours: how near they come, by pictures of several kinds, against PIL's own palettes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw

from sdtui.terminal.quantization import in_few_colours
from tests.terminal import pictures
from tests.terminal.received import psnr


@pytest.mark.parametrize("make", [pictures.photograph, pictures.emoji, pictures.gradient])
def test_it_comes_as_near_as_median_cut(make: Callable[[], Image.Image]) -> None:
    picture = make()
    cut = picture.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    ours = in_few_colours(picture, 255)
    assert len(ours.getcolors() or []) <= 255
    assert psnr(ours.convert("RGB"), picture) > min(40.0, psnr(cut.convert("RGB"), picture))


def test_a_picture_of_one_hue_gets_more_colours_than_an_octree_has_for_it() -> None:
    grey = pictures.photograph().convert("L")
    sepia = Image.merge(
        "RGB", [grey.point(lambda level, part=part: level * part) for part in (1.0, 0.8, 0.6)]
    )
    assert psnr(in_few_colours(sepia, 255).convert("RGB"), sepia) > 38


def test_a_picture_of_few_colours_keeps_them() -> None:
    picture = Image.new("RGB", (100, 100), (1, 99, 200))
    ImageDraw.Draw(picture).rectangle((3, 3, 4, 4), fill=(250, 0, 10))
    assert in_few_colours(picture, 16).convert("RGB").tobytes() == picture.tobytes()


def test_a_small_thing_of_another_colour_keeps_it_nearly() -> None:
    picture = pictures.photograph().point([128 + level // 4 for level in range(256)] * 3)
    ImageDraw.Draw(picture).ellipse((200, 200, 216, 216), fill=(255, 0, 0))
    red, green, blue = in_few_colours(picture, 255).convert("RGB").getpixel((208, 208))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60
