"""Previews that are fitted to a VAE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

import sdtui.starter
from sdtui.bundle import Bundle
from sdtui.convert import colours
from sdtui.convert.accuracy import psnr
from sdtui.convert.colours import fit_preview, picture
from sdtui.diffusion.preview import render
from sdtui.runtime import Array, Network, load_network


def test_a_vae_that_is_linear_is_found_exactly() -> None:
    random = np.random.default_rng(0)
    wanted, bias = 0.1 * random.normal(size=(3, 5)), np.array([0.1, 0.0, -0.1])
    back = np.linalg.pinv(wanted)

    def encode(shown: Array) -> Array:
        cells = functional.avg_pool2d(torch.from_numpy(shown) * 0.3, 4).numpy()
        wobble = np.random.default_rng(1).normal(size=(1, 5, *cells.shape[2:]))
        z: Array = (np.einsum("cr,brhw->bchw", back, cells) + wobble).astype(np.float32)
        return z

    def decode(z: Array) -> Array:
        latents = 0.5 * (z - 2)
        seen = np.einsum("rc,bchw->brhw", wanted, latents) + bias[:, None, None]
        pixels: Array = np.kron(seen, np.ones((4, 4))).astype(np.float32)
        return pixels

    preview = fit_preview(encode, decode, scale=4, scaling_factor=0.5, shift_factor=2.0)
    assert_allclose(preview.matrix, wanted, atol=0.02)
    assert_allclose(preview.bias, bias, atol=0.02)


@pytest.fixture(scope="module")
def halves() -> Iterator[tuple[Bundle, Network, Network]]:
    """The starter's VAE, which has learned to show pictures."""
    starter = Bundle.open(Path(sdtui.starter.__file__).parent / "model")
    encoder, decoder = (
        load_network(starter.network(role), "cpu-only", "fp32") for role in ("vae_encoder", "vae_decoder")
    )
    yield starter, encoder, decoder
    encoder.close()
    decoder.close()


def test_previews_of_a_trained_vae_show_its_pictures(
    halves: tuple[Bundle, Network, Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As well as the matrix that the starter was published with, fitted to what it was trained on."""
    starter, encoder, decoder = halves
    manifest = starter.manifest
    side = manifest.width // manifest.scale
    monkeypatch.setattr(colours, "SIDE", side)  # its networks take one size

    def encode(shown: Array) -> Array:
        mean: Array = np.split(encoder.predict({"x": shown})["latent"], 2, axis=1)[0]
        return mean

    def decode(z: Array) -> Array:
        return decoder.predict({"z": z})["image"]

    fitted = fit_preview(
        encode,
        decode,
        scale=manifest.scale,
        scaling_factor=manifest.scaling_factor,
        shift_factor=manifest.shift_factor,
    )
    assert manifest.preview is not None
    ours: list[float] = []
    published: list[float] = []
    for seed in range(100, 110):  # pictures that were not fitted to
        z = encode(picture(manifest.width, seed).numpy())
        latents = (z - manifest.shift_factor) * manifest.scaling_factor
        cells = functional.adaptive_avg_pool2d(torch.from_numpy(decode(z)).clamp(-1, 1), side)[0]
        expected = ((cells.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.float32)
        for preview, found in ((fitted, ours), (manifest.preview, published)):
            rgb = np.frombuffer(render(latents, preview).rgb, np.uint8).astype(np.float32)
            found.append(psnr(expected.ravel(), rgb))
    assert np.mean(ours) > 20
    assert np.mean(ours) > np.mean(published) - 1
