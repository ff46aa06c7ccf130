"""The colours of latents: the matrix that previews are made with, fitted to what a VAE shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sdtui.bundle.manifest import Preview
from sdtui.runtime import Array

SIDE = 16
"""Cells of latents along one side of each picture that the VAE is shown."""

PICTURES = 12
"""With a real VAE they take as long as one picture of 512 pixels."""

_DECIMALS = 4


def fit_preview(
    encode: Callable[[Array], Array],
    decode: Callable[[Array], Array],
    *,
    scale: int,
    scaling_factor: float,
    shift_factor: float,
) -> Preview:
    """The linear map from latents to colours that comes closest to the VAE's own, by least squares.

    ``encode`` takes a picture (1, 3, H, W) in -1 to 1 to the mean z (1, C, h, w) of its latents, of
    ``scale`` pixels each, and ``decode`` z to a picture. The VAE is shown pictures with large and small
    shapes and with edges, so that the latents lie where those of pictures do; a cell's colour is the mean
    of the pixels that it becomes.
    """
    cells, colours = [], []
    for seed in range(PICTURES):
        z = torch.from_numpy(encode(picture(SIDE * scale, seed).numpy()))
        latents = (z - shift_factor) * scaling_factor
        shown = torch.from_numpy(decode(z.numpy())).clamp(-1, 1)
        cells.append(latents[0].flatten(1).T)
        colours.append(functional.adaptive_avg_pool2d(shown, SIDE)[0].flatten(1).T)
    known = torch.cat(cells).double()
    known = torch.cat([known, torch.ones_like(known[:, :1])], dim=1)
    weights, *_ = np.linalg.lstsq(known.numpy(), torch.cat(colours).double().numpy())
    weights = weights.round(_DECIMALS)
    return Preview(matrix=weights[:-1].T.tolist(), bias=weights[-1].tolist())


def picture(side: int, seed: int) -> Tensor:
    """Blots of all sizes and a few rectangles, in colours that are rarely strong: (1, 3, side, side)."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    blots = torch.zeros(1, 3, side, side)
    size, strength = 2, 1.0
    while size <= side // 2:
        coarse = torch.randn(1, 3, size, size, generator=generator)
        blots += strength * functional.interpolate(coarse, (side, side), mode="bicubic")
        size, strength = 2 * size, 0.6 * strength
    light = blots.mean(1, keepdim=True)
    mixed = 1.3 * light + 0.6 * blots
    shown = 0.6 * mixed / mixed.std() + 0.8 * uniform(1, 3, 1, 1)
    for _ in range(6):
        rows, columns = (sorted(torch.randint(side, (2,), generator=generator).tolist()) for _ in range(2))
        shown[:, :, slice(*rows), slice(*columns)] *= 0.2
        shown[:, :, slice(*rows), slice(*columns)] += uniform(1, 3, 1, 1)
    return shown.clamp(-1, 1)
