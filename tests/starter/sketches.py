"""Artwork that no designer drew: a few coloured shapes, in the three styles, in a working folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sdtui.starter.config import PIXELS, STYLES

NAMES = ("red ball", "blue box", "octopus", "green kite", "lamp", "onion")


def sketch(work: Path) -> None:
    """Write what the artwork would be after it has been prepared."""
    rgba = np.zeros((len(NAMES), len(STYLES), PIXELS, PIXELS, 4), np.uint8)
    rows, columns = np.mgrid[:PIXELS, :PIXELS]
    generator = np.random.default_rng(4)
    for subject in range(len(NAMES)):
        width, height = generator.integers(24, 60, 2)
        inside = np.abs(columns - 64) / width + np.abs(rows - 64) / height * (subject % 2) < 1
        inside &= np.abs(rows - 64) < height
        rgba[subject, :, inside] = [*generator.integers(20, 236, 3), 255]
        rgba[subject, 1, 40:60, 40:60, :3] = 255 * inside[40:60, 40:60, None]
        rgba[subject, 2, 50:80, 50:80] = 0
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / "artwork.npz", rgba=rgba)
    words = [[name, ["cephalopod"] if name == "octopus" else []] for name in NAMES]
    (work / "artwork.json").write_text(json.dumps(words), encoding="utf-8")
