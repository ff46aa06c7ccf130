"""What cannot be done with the pictures of a request is one clear line, before any network is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import NetworkEntry
from sdtui.diffusion.pipeline import Pipeline
from sdtui.errors import SdtuiError
from sdtui.request import Control, GenerationRequest
from sdtui.runtime import Network
from tests.diffusion.pictured import photo, right_half, save
from tests.diffusion.variants import with_manifest


@pytest.fixture
def wanted(request_: GenerationRequest, tmp_path: Path) -> GenerationRequest:
    """A picture with a mask."""
    return request_.replace(**save(tmp_path, image=photo(), mask=right_half()))


def refusal(bundle: Path, request: GenerationRequest) -> str:
    """The line that the request is refused with."""

    def loaded(path: Path, _network: Network) -> Network:
        raise AssertionError(f"{path} was loaded")

    pipeline = Pipeline(Bundle.open(bundle), "cpu-only", "fp32", watch=loaded)
    with pytest.raises(SdtuiError) as caught:
        pipeline.generate(request)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_masks_and_margins_without_a_picture(tiny_bundle_fp32: Path, wanted: GenerationRequest) -> None:
    without = wanted.replace(image=None)
    assert "mask was given without a picture, add --image" in refusal(tiny_bundle_fp32, without)
    around = without.replace(mask=None, outpaint=(8, 0, 0, 0))
    assert "outpaint was given without a picture" in refusal(tiny_bundle_fp32, around)


@pytest.mark.parametrize("margins", [(32, 0, 32, 0), (0, 64, 0, 0), (8000, 0, 0, 0)])
def test_margins_that_leave_no_room(
    tiny_bundle_fp32: Path, wanted: GenerationRequest, margins: tuple[int, int, int, int]
) -> None:
    line = refusal(tiny_bundle_fp32, wanted.replace(outpaint=margins))
    assert "the margins fill 64 x 64 pixels, make them smaller" in line


def test_nothing_to_paint(tiny_bundle_fp32: Path, wanted: GenerationRequest, tmp_path: Path) -> None:
    black = save(tmp_path, black=Image.new("L", (64, 64), 100))["black"]
    assert "the mask cannot be used, nothing in it is white" in refusal(
        tiny_bundle_fp32, wanted.replace(mask=black)
    )
    around = wanted.replace(mask=None, outpaint=(0, 0, 0, 0))
    assert "outpaint cannot be used, it adds too little" in refusal(tiny_bundle_fp32, around)


def test_a_mask_of_another_picture(tiny_bundle_fp32: Path, wanted: GenerationRequest, tmp_path: Path) -> None:
    wide = save(tmp_path, wide=Image.new("L", (128, 64), 255))["wide"]
    line = refusal(tiny_bundle_fp32, wanted.replace(mask=wide))
    assert "the mask cannot be used, it has other proportions than the picture" in line


def test_controls_that_a_model_does_not_know(
    tiny_bundle_fp32: Path, wanted: GenerationRequest, tmp_path: Path
) -> None:
    request = wanted.replace(controls=(Control(name="canny", image=wanted.image or ""),))
    line = refusal(tiny_bundle_fp32, request)
    assert "its UNet has no inputs for what they add" in line
    assert "--unet-support-controlnet --convert-controlnet" in line

    manifest = Bundle.open(tiny_bundle_fp32).manifest
    networks = {**manifest.networks, "control_unet": manifest.networks["unet"]}
    deaf = with_manifest(tiny_bundle_fp32, tmp_path / "deaf", networks=networks)
    assert "no ControlNet canny, it has none, convert it with `sdtui convert" in refusal(deaf, request)
    entry: NetworkEntry = manifest.networks["unet"]
    known = {"pose": entry, "depth": entry}
    posed = with_manifest(tiny_bundle_fp32, tmp_path / "posed", networks=networks, controlnets=known)
    assert "no ControlNet canny, it has depth, pose, choose one of them" in refusal(posed, request)
    pose = request.replace(controls=(Control(name="pose", image=wanted.image or ""),))
    assert "its UNet has no inputs for what they add" in refusal(posed, pose)


def test_a_model_that_cannot_read_pictures(
    tiny_bundle_fp32: Path, wanted: GenerationRequest, tmp_path: Path
) -> None:
    networks = dict(Bundle.open(tiny_bundle_fp32).manifest.networks)
    del networks["vae_encoder"]
    blind = with_manifest(tiny_bundle_fp32, tmp_path / "blind", networks=networks)
    assert "cannot start from a picture, it has no VAE encoder" in refusal(blind, wanted)


def test_sizes(tiny_bundle_fp32: Path, request_: GenerationRequest) -> None:
    for factor in (1.5, 1.1, 8.0):
        line = refusal(tiny_bundle_fp32, request_.replace(upscale=factor))
        assert "tiny-fp32 cannot" in line
        assert "64 x 64" in line


def test_a_strength_that_changes_nothing(tiny_bundle_fp32: Path, wanted: GenerationRequest) -> None:
    for strength in (0.0, 0.2):
        assert "changes nothing" in refusal(tiny_bundle_fp32, wanted.replace(strength=strength))


def test_a_model_without_a_unet(tiny_bundle_fp32: Path, wanted: GenerationRequest, tmp_path: Path) -> None:
    networks = dict(Bundle.open(tiny_bundle_fp32).manifest.networks)
    del networks["unet"]
    empty = with_manifest(tiny_bundle_fp32, tmp_path / "empty", networks=networks)
    assert "empty cannot do this, it has no unet" in refusal(empty, wanted)


def test_channels(tiny_bundle_fp32: Path, request_: GenerationRequest, tmp_path: Path) -> None:
    odd = with_manifest(tiny_bundle_fp32, tmp_path / "odd", latent_channels=3)
    assert "its UNet takes 4 channels, not 3, or 7 to inpaint" in refusal(odd, request_)


@pytest.mark.parametrize("field", ["image", "mask"])
def test_files_that_are_no_pictures(
    tiny_bundle_fp32: Path, wanted: GenerationRequest, tmp_path: Path, field: str
) -> None:
    (tmp_path / "torn.png").write_bytes((tmp_path / "image.png").read_bytes()[:600])
    photo().save(tmp_path / "moving.gif", save_all=True, append_images=[photo(1)])
    (tmp_path / "text.png").write_text("an apple")
    for name, why in (
        ("torn.png", "damaged"),
        ("moving.gif", "sequence of 2 pictures"),
        ("text.png", "not a picture"),
        ("absent.png", "no such file"),
    ):
        line = refusal(tiny_bundle_fp32, wanted.replace(**{field: str(tmp_path / name)}))
        assert line.startswith(f"the {'picture' if field == 'image' else 'mask'} cannot be used")
        assert why in line


def test_what_is_odd_but_good_is_handled(
    pipeline: Pipeline, wanted: GenerationRequest, tmp_path: Path
) -> None:
    """A photograph of 50 megapixels, on its side; a print in CMYK; a mask of 50 megapixels too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = photo().resize((8660, 5774), Image.Resampling.NEAREST)
    large.save(tmp_path / "photo.jpg", quality=50, exif=exif)
    mask = right_half().resize((5774, 8660), Image.Resampling.NEAREST)
    mask.save(tmp_path / "large-mask.png", compress_level=1)
    photo().convert("CMYK").save(tmp_path / "print.jpg")
    sideways = wanted.replace(
        image=str(tmp_path / "photo.jpg"), mask=str(tmp_path / "large-mask.png"), steps=1, strength=1.0
    )
    assert pipeline.generate(sideways).image.size == (64, 64)
    printed = wanted.replace(image=str(tmp_path / "print.jpg"), steps=1, strength=1.0)
    assert pipeline.generate(printed).image.size == (64, 64)
