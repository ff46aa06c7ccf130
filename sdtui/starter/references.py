"""``python -m sdtui.starter.references``: which training picture is each drawing nearest to?

The training pictures are the thumbnails beside the bundle. A judge that needs nothing but what ships: no
training, no artwork. :mod:`sdtui.starter.evaluate` has the better one.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdtui.bundle import Bundle
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from sdtui.starter import MODEL_FOLDER
from sdtui.starter.config import COLOURS

SHEET = "subjects.webp"
"""Premultiplied RGBA thumbnails of the subjects, in rows of :data:`COLUMNS`."""
NAMES = "subjects.json"
"""The subjects' names in the order of the sheet."""
COLUMNS = 26
THUMBNAIL = 32
_SHIFTS = (-1, 0, 1)

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class References:
    """The training pictures, small."""

    names: tuple[str, ...]
    rgba: Pixels
    """Premultiplied, 0..1, (subjects, 32, 32, 4)."""

    def nearest(self, picture: Pixels, colour: str) -> int:
        """The subject whose training picture on that background is nearest to (32, 32, 3) in 0..1.

        The distance is Euclidean over pixels; mirrored and by one pixel shifted pictures count, as
        the model was trained on such.
        """
        background = np.array(COLOURS[colour], np.float32) / np.float32(255)
        drawn = self.rgba[..., :3] + (1 - self.rgba[..., 3:]) * background
        best = np.full(len(self.names), np.inf, np.float32)
        for view in (picture, picture[:, ::-1]):
            for down in _SHIFTS:
                for right in _SHIFTS:
                    moved = _shifted(view, down, right, background)
                    distance = np.square(drawn - moved).sum(axis=(1, 2, 3))
                    best = np.minimum(best, distance)
        return int(best.argmin())


def _shifted(picture: Pixels, down: int, right: int, background: Pixels) -> Pixels:
    moved = np.roll(picture, (down, right), (0, 1))
    if down:
        moved[0 if down > 0 else -1] = background
    if right:
        moved[:, 0 if right > 0 else -1] = background
    return moved


def read_references(folder: Path) -> References:
    """The thumbnails beside a bundle."""
    names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
    with Image.open(folder / SHEET) as image:
        sheet = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
    rows = sheet.shape[0] // THUMBNAIL
    tiles = sheet.reshape(rows, THUMBNAIL, COLUMNS, THUMBNAIL, 4).swapaxes(1, 2)
    return References(tuple(names), tiles.reshape(-1, THUMBNAIL, THUMBNAIL, 4)[: len(names)])


def to_pixels(image: Image.Image) -> Pixels:
    """A picture as (32, 32, 3) in 0..1, box-averaged."""
    small = image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def corners(image: Image.Image) -> NDArray[np.float64]:
    """The mean colour of the four corner pixels, 8-bit RGB."""
    pixels = np.asarray(image.convert("RGB"), np.float64)
    return np.array(pixels[[0, 0, -1, -1], [0, -1, 0, -1]].mean(0))


@dataclass(frozen=True)
class Drawing:
    """A picture, what was asked for, and the subject whose training picture is nearest."""

    image: Image.Image
    subject: int
    colour: str
    found: int


class Evaluation:
    """One loaded model and the questions put to it."""

    def __init__(self, folder: Path, steps: int, guidance_scale: float) -> None:
        self.references = read_references(folder)
        self.pipeline = Pipeline(Bundle.open(folder))
        self.steps = steps
        self.guidance_scale = guidance_scale

    def draw(self, prompt: str, seed: int) -> Image.Image:
        """One picture."""
        request = GenerationRequest(
            prompt=prompt, steps=self.steps, guidance_scale=self.guidance_scale, seed=seed
        )
        return self.pipeline.generate(request).image

    def drawings(self, count: int) -> list[Drawing]:
        """So many subjects, evenly over all of them, on each background colour in turn."""
        colours = list(COLOURS)
        return [
            self._drawing(subject, colours[number % len(colours)], seed=number)
            for number, subject in enumerate(self._spread(count))
        ]

    def _spread(self, count: int) -> list[int]:
        last = len(self.references.names) - 1
        return [int(index) for index in np.linspace(0, last, count).round()]

    def _drawing(self, subject: int, colour: str, seed: int) -> Drawing:
        image = self.draw(f"{self.references.names[subject]} on a {colour} background", seed)
        return Drawing(image, subject, colour, self.references.nearest(to_pixels(image), colour))


def background_distance(drawings: Sequence[Drawing], colour: str) -> float:
    """The median distance of the corners from the colour asked for, largest of R, G, B, of 255."""
    wanted = np.array(COLOURS[colour], np.float64)
    return statistics.median(
        float(np.abs(corners(drawing.image) - wanted).max())
        for drawing in drawings
        if drawing.colour == colour
    )


def main() -> None:
    """Draw subjects on each background with the application's defaults, and print how many are recognised."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.references", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="folder of the bundle")
    parser.add_argument("--subjects", type=int, default=200)
    given = parser.parse_args()
    usual = GenerationRequest(prompt="any")
    drawings = Evaluation(given.model, usual.steps, usual.guidance_scale).drawings(given.subjects)
    right = sum(drawing.found == drawing.subject for drawing in drawings)
    print(f"recognised: {right / len(drawings):.1%} of {len(drawings)} subjects")
    for colour in COLOURS:
        print(f"{colour} background: corners off by {background_distance(drawings, colour):.0f} of 255")


if __name__ == "__main__":
    main()
