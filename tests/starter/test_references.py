"""The judge of the pictures is itself judged: on the training pictures it makes no mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdtui.starter.config import COLOURS
from sdtui.starter.references import COLUMNS, NAMES, SHEET, References, corners, read_references


@pytest.fixture
def references(tmp_path: Path) -> References:
    generator = np.random.default_rng(0)
    sheet = np.zeros((64, COLUMNS * 32, 4), np.uint8)
    names = [f"thing {number}" for number in range(COLUMNS + 4)]
    for number in range(len(names)):
        row, column = divmod(number, COLUMNS)
        tile = sheet[row * 32 + 4 : row * 32 + 28, column * 32 + 4 : column * 32 + 28]
        tile[..., :3] = generator.integers(0, 256, 3)
        tile[: generator.integers(8, 24), : generator.integers(8, 24), 3] = 255
        tile[..., :3] *= tile[..., 3:] // 255
    Image.fromarray(sheet).save(tmp_path / SHEET, lossless=True, exact=True)
    (tmp_path / NAMES).write_text(json.dumps(names))
    return read_references(tmp_path)


def test_a_training_picture_is_its_own_nearest(references: References) -> None:
    blue = np.array(COLOURS["blue"], np.float32) / np.float32(255)
    for subject, rgba in enumerate(references.rgba):
        picture = rgba[..., :3] + (1 - rgba[..., 3:]) * blue
        assert references.nearest(picture, "blue") == subject
        assert references.nearest(picture[:, ::-1], "blue") == subject
        assert references.nearest(np.roll(picture, 1, 0), "blue") == subject


def test_corners_are_the_mean_of_four_pixels() -> None:
    image = Image.new("RGB", (64, 64), (10, 20, 30))
    image.putpixel((0, 63), (50, 20, 30))
    assert corners(image).tolist() == [20, 20, 30]
