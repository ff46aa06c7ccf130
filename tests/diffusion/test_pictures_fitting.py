"""Pictures, masks and canvases are the numbers that diffusers' own image processors make of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from sdtui.diffusion.pictures.canvas import extend, margin_mask, outpainted
from sdtui.diffusion.pictures.fitting import fit, latent_mask, levels, mask_levels, same_shape

NOISE = Image.effect_noise((128, 96), 80)
COLOURS = Image.merge("RGB", [Image.effect_noise((128, 96), deviation) for deviation in (20, 60, 90)])


@pytest.mark.parametrize("size", [(128, 96), (64, 48), (256, 192)])
def test_a_picture_becomes_diffusers_numbers(size: tuple[int, int]) -> None:
    theirs = VaeImageProcessor().preprocess(COLOURS, height=size[1], width=size[0]).numpy()
    ours = 2 * levels(fit(COLOURS, *size)) - 1
    assert ours.dtype == np.float32
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("size", [(128, 96), (64, 48), (256, 192)])
def test_a_mask_becomes_diffusers_numbers(size: tuple[int, int]) -> None:
    processor = VaeImageProcessor(do_normalize=False, do_binarize=True, do_convert_grayscale=True)
    theirs = processor.preprocess(NOISE, height=size[1], width=size[0])
    ours = mask_levels(fit(NOISE, *size))
    assert np.array_equal(ours, theirs.numpy())
    cells = torch.nn.functional.interpolate(theirs, size=(size[1] // 8, size[0] // 8)).numpy()
    assert np.array_equal(latent_mask(ours, 8), cells)


def test_other_proportions_lose_what_is_too_long_on_both_sides() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (96, 0, 204, 100))
    assert fit(wide, 64, 64).getcolors() == [(64 * 64, (0, 0, 255))]
    assert fit(wide.rotate(90, expand=True), 64, 64).getcolors() == [(64 * 64, (0, 0, 255))]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((640, 480), (640, 480), True),
        ((640, 480), (320, 240), True),
        ((1001, 667), (501, 334), True),
        ((640, 480), (480, 640), False),
        ((512, 512), (512, 500), False),
        ((64, 64), (8, 10), False),
    ],
)
def test_same_proportions(one: tuple[int, int], other: tuple[int, int], same: bool) -> None:
    assert same_shape(Image.new("L", one), Image.new("L", other)) is same
    assert same_shape(Image.new("L", other), Image.new("L", one)) is same


def test_a_canvas_goes_on_in_the_colours_of_the_edges() -> None:
    margins = (3, 5, 7, 11)
    canvas = np.asarray(extend(COLOURS, margins))
    within = np.asarray(COLOURS)
    assert canvas.shape == (96 + 5 + 11, 128 + 3 + 7, 3)
    assert np.array_equal(canvas[5:-11, 3:-7], within)
    assert (canvas[:6, :4] == within[0, 0]).all()
    assert np.array_equal(canvas[:, -1], np.pad(within[:, -1], ((5, 11), (0, 0)), mode="edge"))


def test_outpainting_keeps_the_picture_and_paints_the_margins() -> None:
    margins = (16, 0, 24, 8)
    canvas = outpainted(COLOURS, 128, 96, margins)
    assert canvas.size == (128, 96)
    assert canvas.crop((16, 0, 104, 88)).tobytes() == fit(COLOURS, 88, 88).tobytes()

    mask = np.asarray(margin_mask(128, 96, margins))
    assert (mask[0:88, 16:104] == 0).all()
    assert (mask == 255).sum() == 128 * 96 - 88 * 88

    inside = Image.new("L", (128, 96), 0)
    inside.paste(255, (0, 0, 128, 48))
    both = np.asarray(margin_mask(128, 96, margins, inside))
    assert (both[:40, :] == 255).all()
    assert (both[48:88, 16:104] == 0).all()
    assert (both[88:] == 255).all()
