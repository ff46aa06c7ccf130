"""A VAE of one size on larger pictures."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import MANIFEST_FILE
from sdtui.convert.accuracy import psnr
from sdtui.convert.network import convert_network
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.unet import unet
from sdtui.diffusion.errors import Cancelled, DiffusionError
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.tiles import OVERLAP, in_tiles, starts, tile_size
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network, load_network
from tests.tiny import CHANNELS, LATENT, PIXELS, SCHEDULER_CONFIG, TOKENS, TinyTorch


@pytest.fixture(scope="module")
def decoder(tiny_bundle_fp32: Path) -> Iterator[Network]:
    network = load_network(Bundle.open(tiny_bundle_fp32).network("vae_decoder"), "cpu-only", "fp32")
    yield network
    network.close()


@pytest.fixture(scope="module")
def encoder(tiny_bundle_fp32: Path) -> Iterator[Network]:
    network = load_network(Bundle.open(tiny_bundle_fp32).network("vae_encoder"), "cpu-only", "fp32")
    yield network
    network.close()


def latents(rows: int, columns: int) -> Array:
    """Latents that change slowly, as those of pictures do."""
    coarse = torch.randn(1, CHANNELS, 4, 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (rows, columns), mode="bicubic")
    array: Array = smooth.numpy()
    return array


def test_a_picture_of_the_networks_size_goes_through_as_it_is(decoder: Network) -> None:
    z = latents(LATENT, LATENT)
    assert np.array_equal(in_tiles(decoder, "z", "image", z), decoder.predict({"z": z})["image"])


@torch.no_grad()
@pytest.mark.parametrize(
    ("rows", "columns", "decibels"), [(LATENT + 2 * 6, LATENT, 80), (LATENT, LATENT + 6, 80), (20, 14, 45)]
)
def test_tiles_are_those_of_diffusers_and_as_close_to_the_whole(
    rows: int, columns: int, decibels: float, decoder: Network, tiny_torch: TinyTorch
) -> None:
    """Tiles at every 6 of 8 cells, as diffusers lays them: the same but for its last, smaller tiles.

    And but for the corners where four meet: there it fades what it has faded before.
    """
    z = latents(rows, columns)
    ours = in_tiles(decoder, "z", "image", z)
    whole = tiny_torch.vae.decode(torch.from_numpy(z)).sample.numpy()
    with tiling(tiny_torch) as vae:
        theirs = vae.decode(torch.from_numpy(z)).sample.numpy()
    assert ours.shape == theirs.shape == whole.shape
    inner = np.s_[..., : 6 * 8 * ((rows - 1) // 6), : 6 * 8 * ((columns - 1) // 6)]
    assert psnr(theirs[inner], ours[inner]) >= decibels
    assert psnr(whole, ours) >= psnr(whole, theirs) - 1
    assert psnr(whole, ours) >= 15


@torch.no_grad()
def test_pictures_are_encoded_in_tiles_too(encoder: Network, tiny_torch: TinyTorch) -> None:
    ramp = np.linspace(-1, 1, PIXELS + 6 * 8, dtype=np.float32)
    columns = ramp[:PIXELS]
    picture = np.stack([np.outer(ramp, columns), np.outer(ramp, columns**2), np.outer(-ramp, columns)])[None]
    ours = in_tiles(encoder, "x", "latent", picture)
    with tiling(tiny_torch) as vae:
        theirs = vae.encode(torch.from_numpy(picture)).latent_dist.parameters.numpy()
    assert ours.shape == theirs.shape == (1, 2 * CHANNELS, LATENT + 6, LATENT)
    assert psnr(theirs[:, :, :12, :6], ours[:, :, :12, :6]) >= 80


@contextlib.contextmanager
def tiling(tiny: TinyTorch) -> Iterator[AutoencoderKL]:
    """diffusers' VAE, which works in tiles of the network's size for now."""
    tiny.vae.enable_tiling()
    tiny.vae.tile_latent_min_size, tiny.vae.tile_sample_min_size = LATENT, PIXELS
    yield tiny.vae
    tiny.vae.disable_tiling()


def test_one_colour_stays_one_colour_in_any_size(decoder: Network) -> None:
    for rows, columns in ((9, 8), (11, 15), (14, 27)):
        shape = (1, CHANNELS, rows, columns)
        shown = in_tiles(decoder, "z", "image", np.zeros(shape, np.float32))
        assert shown.shape == (1, 3, 8 * rows, 8 * columns)
        once = decoder.predict({"z": np.zeros((1, CHANNELS, LATENT, LATENT), np.float32)})["image"]
        # Where one tile alone counts, it is that tile.
        assert np.allclose(shown[0, :, 0, 0], once[0, :, 0, 0], atol=1e-5)
        assert once.min() - 1e-5 <= shown.min() and shown.max() <= once.max() + 1e-5


def test_tiles_stop_when_asked(decoder: Network) -> None:
    asked: list[bool] = []

    def second() -> bool:
        asked.append(True)
        return len(asked) == 2

    with pytest.raises(Cancelled):
        in_tiles(decoder, "z", "image", latents(20, 20), second)


@given(length=st.integers(1, 400), tile=st.integers(2, 96))
def test_tiles_cover_everything_and_overlap(length: int, tile: int) -> None:
    if length < tile:
        with pytest.raises(ValueError, match="is larger than"):
            starts(length, tile)
        return
    places = starts(length, tile)
    assert places[0] == 0
    assert places[-1] == length - tile
    for here, following in itertools.pairwise(places):
        assert 0 < following - here <= tile - tile * OVERLAP or tile < 4


def test_the_tile_of_a_picture() -> None:
    known = [(512, 512), (768, 512), (1024, 1024)]
    assert tile_size(known, (1024, 1024), smaller=False) == (1024, 1024)
    assert tile_size(known, (1024, 1024), smaller=True) == (768, 512)
    assert tile_size(known, (2048, 1536), smaller=False) == (1024, 1024)
    assert tile_size(known, (640, 640), smaller=False) == (512, 512)
    assert tile_size(known, (512, 512), smaller=True) is None
    assert tile_size(known, (512, 448), smaller=False) is None


@pytest.fixture(scope="module")
def wide(tiny_bundle_fp32: Path, tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The tiny model whose UNet alone makes pictures of 112 x 64 too: its VAE has one size."""
    bundle = shutil.copytree(tiny_bundle_fp32, tmp_path_factory.mktemp("models") / "wide")
    package = "Unet_112x64.mlpackage"
    convert_network(
        unet(tiny_torch.unet, Shape(LATENT, LATENT + 6, TOKENS)), bundle / package, precision="fp32"
    )
    manifest = Bundle.open(bundle).manifest
    entry = msgspec.structs.replace(manifest.networks["unet"], sizes={"112x64": package})
    networks = manifest.networks | {"unet": entry}
    changed = msgspec.structs.replace(manifest, name="wide", networks=networks)
    (bundle / MANIFEST_FILE).write_bytes(msgspec.json.encode(changed))
    return Pipeline(Bundle.open(bundle), "cpu-only", "fp32")


def test_a_picture_larger_than_the_vae(
    wide: Pipeline, tiny_torch: TinyTorch, request_: GenerationRequest, tmp_path: Path
) -> None:
    request = request_.replace(width=112, height=64, scheduler="ddim")
    picture = wide.generate(request).image
    theirs = StableDiffusionPipeline(
        vae=tiny_torch.vae,
        text_encoder=tiny_torch.text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(str(tiny_torch.tokenizer), model_max_length=TOKENS),
        unet=tiny_torch.unet,
        scheduler=DDIMScheduler.from_config(SCHEDULER_CONFIG),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    with tiling(tiny_torch):
        expected = theirs(
            request.prompt,
            width=112,
            height=64,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator().manual_seed(request.seed or 0),
        ).images[0]
    assert picture.size == expected.size == (112, 64)
    left = (0, 0, 96, 48)  # right of it and below are smaller tiles of diffusers
    both = [np.asarray(each.crop(left), np.float32) for each in (expected, picture)]
    assert psnr(*both) >= 50

    picture.save(tmp_path / "wide.png")
    again = wide.generate(request.replace(image=str(tmp_path / "wide.png"))).image
    assert again.size == (112, 64)
    assert again.tobytes() != picture.tobytes()


def test_tiles_that_are_asked_for_and_not_there_are_refused(
    wide: Pipeline, request_: GenerationRequest
) -> None:
    assert wide.generate(request_.replace(width=112, height=64, tiled=True)).image.size == (112, 64)
    with pytest.raises(DiffusionError, match=r"wide has no tiles for 64 x 64 pixels, its VAE decoder is"):
        wide.generate(request_.replace(tiled=True))
    with pytest.raises(DiffusionError, match=r"cannot make 64 x 112 pixels, .*, 64 x 64, 112 x 64, ask"):
        wide.generate(request_.replace(width=64, height=112))
    wide.close()
