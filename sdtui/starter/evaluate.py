"""``python -m sdtui.starter.evaluate``: does the model draw what it is asked for?

It runs the shipped bundle in the application's own pipeline and needs no artwork: the training
pictures lie beside the bundle as thumbnails of 32 px.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
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
from sdtui.starter.config import BACKGROUNDS

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
        background = np.array(BACKGROUNDS[colour], np.float32) / np.float32(255)
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
        colours = list(BACKGROUNDS)
        return [
            self._drawing(subject, colours[number % len(colours)], seed=number)
            for number, subject in enumerate(self._spread(count))
        ]

    def variety(self, count: int) -> tuple[float, float]:
        """Root mean square difference of 8-bit pixels: two seeds of a prompt, two prompts of a seed."""
        pairs = [
            [to_pixels(self._drawing(subject, "blue", seed).image) for seed in (1, 2)]
            for subject in self._spread(count)
        ]
        seeds = [_difference(first, second) for first, second in pairs]
        prompts = [_difference(pairs[i][0], pairs[i - 1][0]) for i in range(1, count)]
        return statistics.median(seeds), statistics.median(prompts)

    def _spread(self, count: int) -> list[int]:
        last = len(self.references.names) - 1
        return [int(index) for index in np.linspace(0, last, count).round()]

    def _drawing(self, subject: int, colour: str, seed: int) -> Drawing:
        image = self.draw(f"{self.references.names[subject]} on a {colour} background", seed)
        return Drawing(image, subject, colour, self.references.nearest(to_pixels(image), colour))


def background_distance(drawings: Sequence[Drawing], colour: str) -> float:
    """The median distance of the corners from the colour asked for, largest of R, G, B, of 255."""
    wanted = np.array(BACKGROUNDS[colour], np.float64)
    return statistics.median(
        float(np.abs(corners(drawing.image) - wanted).max())
        for drawing in drawings
        if drawing.colour == colour
    )


def _difference(a: Pixels, b: Pixels) -> float:
    return float(np.sqrt(np.square(a - b).mean()) * 255)


def sheet(images: Sequence[Image.Image], columns: int = 20) -> Image.Image:
    """All pictures on one."""
    width, height = images[0].size
    result = Image.new("RGB", (columns * width, -(-len(images) // columns) * height))
    for index, image in enumerate(images):
        result.paste(image, (index % columns * width, index // columns * height))
    return result


def main() -> None:
    """Read the command line, draw and print."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="folder of the bundle")
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--steps", type=int, default=GenerationRequest(prompt="x").steps)
    parser.add_argument("--guidance", type=float, default=GenerationRequest(prompt="x").guidance_scale)
    parser.add_argument("--sheet", type=Path, help="write the pictures to this PNG")
    arguments = parser.parse_args()

    begun = time.monotonic()
    evaluation = Evaluation(arguments.model, arguments.steps, arguments.guidance)
    total = len(evaluation.references.names)
    print(f"{total} subjects known; {arguments.steps} steps, guidance {arguments.guidance}")
    drawings = evaluation.drawings(arguments.subjects)
    names = evaluation.references.names
    mistakes = [
        f"{names[drawing.subject]} looks like {names[drawing.found]}"
        for drawing in drawings
        if drawing.found != drawing.subject
    ]
    print(
        f"recognised: {1 - len(mistakes) / len(drawings):.1%} of {len(drawings)} subjects"
        f" (the nearest training picture, by pixels at 32 px, has the name; chance {1 / total:.2%})"
    )
    for colour in BACKGROUNDS:
        print(
            f"{colour} background: corners off by {background_distance(drawings, colour):.0f} of 255"
            f" (largest channel, median of {sum(each.colour == colour for each in drawings)} subjects)"
        )
    seeds, prompts = evaluation.variety(20)
    print(f"difference of pixels, of 255: two seeds {seeds:.0f}, two prompts {prompts:.0f} (median)")
    print(f"mistaken: {'; '.join(mistakes[:20])}{' …' if len(mistakes) > 20 else ''}")
    print(f"{time.monotonic() - begun:.0f} s")
    if arguments.sheet is not None:
        sheet([drawing.image for drawing in drawings]).save(arguments.sheet)


if __name__ == "__main__":
    main()
