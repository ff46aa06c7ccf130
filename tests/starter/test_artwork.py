"""Artwork becomes pictures: what is transparent shows the background, sizes and places are as asked."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from sdtui.starter import backgrounds
from sdtui.starter.artwork import prepare, resized
from sdtui.starter.config import BACKGROUNDS, COLOURS, PIXELS, STYLES
from sdtui.starter.fetch import unpack
from sdtui.starter.render import lay, paint
from sdtui.starter.scene import Box, Scene, Thing, boxes
from tests.starter.sketches import sketch


def test_what_is_transparent_shows_the_background_and_what_is_not_the_thing() -> None:
    picture = np.full((64, 64, 3), 0.5, np.float32)
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[32:96, 32:96] = [255, 0, 0, 255]
    lay(picture, rgba, Box(0.5, 0.5, 1.0), Scene((Thing(0),), "center", 0, 0))
    assert picture[2, 2].tolist() == [0.5, 0.5, 0.5]
    assert picture[32, 32].tolist() == [1.0, 0.0, 0.0]


def test_shrinking_first_and_laying_over_first_agree() -> None:
    generator = np.random.default_rng(0)
    straight = generator.integers(0, 256, (128, 128, 4)).astype(np.float32)
    alpha = straight[..., 3:] / 255
    premultiplied = np.concatenate([straight[..., :3] * alpha, straight[..., 3:]], axis=2)
    premultiplied = np.rint(premultiplied).astype(np.uint8)
    small = resized(premultiplied, 32).astype(np.float32) / 255
    colour = np.array([0.2, 0.6, 0.9], np.float32)
    large = premultiplied[..., :3] / 255 + (1 - alpha) * colour
    shrunk = np.stack(
        [
            resized(np.repeat(np.rint(large[..., [c]] * 255).astype(np.uint8), 4, axis=2), 32)[..., 0]
            for c in range(3)
        ],
        axis=2,
    )
    found = small[..., :3] + (1 - small[..., 3:]) * colour
    assert np.abs(found - shrunk / 255).max() < 0.02


@pytest.mark.parametrize("arrangement", ["center", "left", "bottom right"])
@pytest.mark.parametrize("size", ["small", "normal", "large"])
def test_a_thing_lies_in_its_box_and_the_box_in_the_picture(
    tmp_path: Path, arrangement: str, size: str
) -> None:
    sketch(tmp_path)
    scene = Scene((Thing(0, size),), arrangement, 0, BACKGROUNDS.index("white"))
    (box,) = boxes(scene)
    assert box.side / 2 <= min(box.x, box.y, 1 - box.x, 1 - box.y)
    picture = paint(scene, [box], prepare(tmp_path), PIXELS, np.random.default_rng(1)).astype(int)
    rows, columns = np.nonzero(np.abs(picture - picture[0, 64]).max(2) > 40)
    assert abs(columns.mean() / PIXELS - box.x) < 0.03
    assert abs(rows.mean() / PIXELS - box.y) < 0.03
    assert (columns.max() - columns.min()) / PIXELS <= box.side + 0.02


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_backgrounds_differ_from_each_other_and_a_little_from_time_to_time(name: str) -> None:
    number = BACKGROUNDS.index(name)
    once, again = (backgrounds.draw(number, 32, np.random.default_rng(seed)) for seed in (1, 2))
    assert 0 < np.abs(once - again).mean() < 0.06
    for other in range(len(BACKGROUNDS)):
        if other != number:
            assert np.abs(once - backgrounds.draw(other, 32)).mean() > 0.06
    assert (once.std((0, 1)).max() > 0.01) == (name not in COLOURS)


def test_lines_are_light_on_dark_and_dark_on_light(tmp_path: Path) -> None:
    sketch(tmp_path)
    for background, light in (("black", True), ("night sky", True), ("yellow", False), ("white", False)):
        scene = Scene((Thing(0),), "center", STYLES.index("line"), BACKGROUNDS.index(background))
        picture = paint(scene, boxes(scene), prepare(tmp_path), PIXELS, np.random.default_rng(1))
        drawn = picture[PIXELS // 2, int(PIXELS * 0.37)]
        assert (drawn > 200).all() if light else (drawn < 60).all()


def test_an_archive_is_unpacked_whole_and_only_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    for name in ("icons.json", "run.js"):
        (tmp_path / "package" / name).write_text(name)
    with tarfile.open(tmp_path / "some.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    unpack(tmp_path / "some.tgz", tmp_path / "flat", ("icons.json",))
    assert [file.name for file in (tmp_path / "flat").iterdir()] == ["icons.json"]
