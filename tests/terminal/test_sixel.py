"""Sixels: what a decoder that knows nothing of the encoder makes of them."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdtui.terminal.sixel import sixels
from tests.terminal.sixel_decoder import decode

sides = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(sides, sides, st.integers(2, 12), st.randoms(use_true_random=False))
def test_a_picture_of_few_colours_arrives_pixel_for_pixel(
    width: int, height: int, many: int, chance: Random
) -> None:
    colours = [(number * 20, 255 - number * 20, number * 7 % 256) for number in range(many)]
    image = Image.new("RGB", (width, height))
    image.putdata([chance.choice(colours) for _ in range(width * height)])
    size, pixels = decode(sixels(image))
    assert size == (width, height)
    assert set(pixels) == {(x, y) for x in range(width) for y in range(height)}
    for place, drawn in pixels.items():
        wanted = image.getpixel(place)
        assert isinstance(wanted, tuple)
        # Levels are percents: 255 / 100 / 2 rounded up.
        assert max(abs(ours - theirs) for ours, theirs in zip(drawn, wanted, strict=True)) <= 2


@pytest.mark.parametrize("height", [1, 5, 6, 7, 12, 13])
def test_nothing_is_drawn_below_the_last_row(height: int) -> None:
    _, pixels = decode(sixels(Image.new("RGB", (9, height), "white")))
    assert max(y for _, y in pixels) == height - 1


def test_a_photograph_comes_near_what_it_is() -> None:
    image = Image.effect_noise((96, 96), 60).convert("RGB").resize((192, 192), Image.Resampling.BICUBIC)
    _, pixels = decode(sixels(image))
    error = sum(abs(pixels[x, y][0] - image.getpixel((x, y))[0]) for x in range(192) for y in range(192))  # type: ignore[index]
    assert error / 192**2 < 4


@pytest.mark.parametrize("colours", [2, 16, 256])
def test_there_are_no_more_colours_than_wished_for(colours: int) -> None:
    image = Image.merge("RGB", [Image.effect_noise((64, 64), level) for level in (50, 70, 90)])
    assert len(set(decode(sixels(image, colours))[1].values())) <= colours


def test_a_plain_picture_is_counted_and_not_spelt_out() -> None:
    assert len(sixels(Image.new("RGB", (512, 512), "red"))) < 1500


def test_the_ground_is_left_and_pixels_are_square() -> None:
    assert re.match(rb'\x1bP7;1q"1;1;4;3#', sixels(Image.new("RGB", (4, 3))))


def test_other_modes_of_pictures_are_drawn_too() -> None:
    for mode in ("RGBA", "P", "L", "1"):
        assert decode(sixels(Image.new(mode, (8, 8))))[0] == (8, 8)


@pytest.mark.parametrize("width", [63, 64, 126, 255, 256, 300, 700])
def test_wide_pictures_arrive_pixel_for_pixel(width: int) -> None:
    image = Image.new("RGB", (width, 8), (0, 0, 255))
    image.paste((255, 0, 0), (width // 3, 1, width - 2, 7))
    image.paste((0, 255, 0), (width - 1, 0, width, 8))
    size, pixels = decode(sixels(image))
    assert size == image.size
    assert all(pixels[x, y] == image.getpixel((x, y)) for x in range(width) for y in range(8))
