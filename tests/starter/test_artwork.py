"""Pictures are laid over their background without a seam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sdtui.starter.artwork import _variants, composite
from sdtui.starter.config import ArtworkConfig


def test_what_is_transparent_shows_the_background_exactly() -> None:
    rgba = torch.zeros(1, 4, 64, 64, dtype=torch.uint8)
    rgba[:, [0, 3], 20:40, 20:40] = 255
    picture = composite(rgba, torch.tensor([[0.0, 0.5, 1.0]]))
    assert picture[0, :, 0, 0].tolist() == [-1.0, 0.0, 1.0]
    assert picture[0, :, 30, 30].tolist() == [1.0, -1.0, -1.0]


def test_downsampling_first_and_compositing_first_agree() -> None:
    generator = np.random.default_rng(0)
    straight = generator.integers(0, 256, (128, 128, 4)).astype(np.float32)
    alpha = straight[..., 3:] / 255
    premultiplied = np.concatenate([straight[..., :3] * alpha, straight[..., 3:]], axis=2)
    small = premultiplied.reshape(64, 2, 64, 2, 4).mean((1, 3)).transpose(2, 0, 1)
    rgba = torch.from_numpy(small.round().astype(np.uint8))[None]
    colour = np.array([0.2, 0.6, 0.9], np.float32)
    large = premultiplied[..., :3] / 255 + (1 - alpha) * colour
    expected = large.reshape(64, 2, 64, 2, 3).mean((1, 3)).transpose(2, 0, 1) * 2 - 1
    found = composite(rgba, torch.from_numpy(colour)[None])[0].numpy()
    assert np.abs(found - expected).max() < 0.02


def test_variants_keep_a_margin_and_come_in_mirrored_pairs(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:, :128, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "half.webp", lossless=True)
    variants = _variants(tmp_path / "half.webp", ArtworkConfig(), np.random.default_rng(1))
    assert variants.shape == (8, 4, 64, 64)
    assert (variants[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    assert (variants[1] == variants[0][:, :, ::-1]).all()
