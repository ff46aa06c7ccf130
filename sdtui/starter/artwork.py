"""The subjects in every style, as 128 px premultiplied RGBA.

Box-averaging and laying over a background commute on premultiplied colour, so the artwork is brought
to 128 px once; smaller sizes are made from that.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdtui.starter.checkpoint import write_atomically
from sdtui.starter.config import PIXELS, STYLES
from sdtui.starter.subjects import Subject, read_subjects

Rgba = NDArray[np.uint8]


@dataclass(frozen=True)
class Artwork:
    """All subjects, ready for training."""

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    rgba: Rgba
    """Premultiplied, (subjects, styles, 128, 128, 4). In the style ``line`` colour is to be ignored:
    it is drawn dark on light backgrounds and light on dark ones."""

    def __len__(self) -> int:
        return len(self.names)


def prepare(work: Path) -> Artwork:
    """Read the artwork, from ``work/artwork.npz`` when it has been prepared before."""
    pictures, words = work / "artwork.npz", work / "artwork.json"
    if not pictures.exists():
        subjects = read_subjects(work)
        rgba = np.stack([_styles(subject) for subject in subjects])
        words.write_text(json.dumps([[each.name, list(each.synonyms)] for each in subjects]), "utf-8")
        with write_atomically(pictures) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, rgba=rgba)
    with np.load(pictures) as stored:
        rgba = stored["rgba"]
    told = json.loads(words.read_text(encoding="utf-8"))
    return Artwork(
        names=tuple(name for name, _ in told),
        synonyms=tuple(tuple(synonyms) for _, synonyms in told),
        rgba=rgba,
    )


def _styles(subject: Subject) -> Rgba:
    drawn = {"3d": _webp(subject), "flat": _svg(subject.flat), "line": _svg(subject.line)}
    return np.stack([_shrunk(drawn[style]) for style in STYLES])


def _webp(subject: Subject) -> Image.Image:
    with Image.open(subject.file) as image:
        return image.convert("RGBA")


def _svg(text: str) -> Image.Image:
    from resvg_py import svg_to_bytes  # needed here only: most users of the recipe's parts have no SVG

    return Image.open(io.BytesIO(svg_to_bytes(svg_string=text, width=2 * PIXELS))).convert("RGBA")


def _shrunk(image: Image.Image) -> Rgba:
    straight = np.asarray(image, np.float32)
    premultiplied = straight.copy()
    premultiplied[..., :3] *= straight[..., 3:] / 255.0
    return resized(np.rint(premultiplied).astype(np.uint8), PIXELS)


def resized(rgba: Rgba, side: int) -> Rgba:
    """Premultiplied pixels at another size, filtered."""
    # Pillow would divide by alpha were it told that the fourth channel is one.
    image = Image.frombytes("RGBX", (rgba.shape[1], rgba.shape[0]), np.ascontiguousarray(rgba).tobytes())
    small = image.resize((side, side), Image.Resampling.HAMMING)
    return np.frombuffer(small.tobytes(), np.uint8).reshape(side, side, 4)
