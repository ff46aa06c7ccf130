"""A second pass makes of a picture what diffusers' image-to-image pipeline makes of it, enlarged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdtui.bundle import Bundle
from sdtui.diffusion.events import Decoding, PipelineEvent, Step
from sdtui.diffusion.pictures.canvas import margin_mask, outpainted
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from tests.diffusion.pictured import (
    drawing,
    expected,
    inpainting,
    likeness,
    photo,
    repainting,
    right_half,
    save,
)
from tests.diffusion.variants import sized_variant
from tests.tiny import PIXELS, TinyTorch

LARGER = 96


@pytest.fixture(scope="module")
def two_sizes(
    tiny_torch: TinyTorch, tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """The tiny model for 64 and 96 pixels."""
    folder = tmp_path_factory.mktemp("models") / "two-sizes"
    pipeline = Pipeline(
        Bundle.open(sized_variant(tiny_torch, tiny_bundle_fp32, folder, LARGER)), "cpu-only", "fp32"
    )
    yield pipeline
    pipeline.close()


@pytest.fixture
def wanted(request_: GenerationRequest) -> GenerationRequest:
    """A picture half as large again."""
    return request_.replace(upscale=LARGER / PIXELS, upscale_strength=0.5, scheduler="ddim", steps=6)


def enlarged(picture: Image.Image) -> Image.Image:
    return picture.resize((LARGER, LARGER), Image.Resampling.LANCZOS)


def test_from_text(two_sizes: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest) -> None:
    first = expected(drawing(tiny_torch), wanted)
    second = expected(repainting(tiny_torch), wanted, image=enlarged(first), strength=0.5)
    events: list[PipelineEvent] = []
    made = two_sizes.generate(wanted, events.append)
    assert likeness(second, made.image) >= 50
    assert (made.request.width, made.request.upscale, made.image.size) == (PIXELS, 1.5, (LARGER, LARGER))
    told = [event for event in events if isinstance(event, Step | Decoding)]
    assert [event.total if isinstance(event, Step) else 0 for event in told] == [*[6] * 6, 0, *[3] * 3, 0]
    assert made.seconds.total == pytest.approx(
        sum((made.seconds.load, made.seconds.text, made.seconds.denoise, made.seconds.decode)), abs=0.2
    )


def test_what_a_mask_keeps_is_the_persons_picture_in_all_its_detail(
    two_sizes: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest, tmp_path: Path
) -> None:
    source, mask = photo(size=(LARGER, LARGER)), right_half((LARGER, LARGER))
    request = wanted.replace(**save(tmp_path, image=source, mask=mask), strength=1.0)
    small = {"image": source.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)}
    small["mask_image"] = mask.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    theirs = inpainting(tiny_torch, tiny_torch.unet)
    first = expected(theirs, request, strength=1.0, **small)
    both = Image.composite(enlarged(first), source, mask)
    second = expected(theirs, request, image=both, mask_image=mask, strength=0.5, width=LARGER, height=LARGER)
    assert likeness(second, two_sizes.generate(request).image) >= 50


def test_margins_grow_with_the_picture(
    two_sizes: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest, tmp_path: Path
) -> None:
    source = photo()
    request = wanted.replace(**save(tmp_path, image=source), outpaint=(16, 0, 0, 16), strength=1.0)
    theirs = inpainting(tiny_torch, tiny_torch.unet)
    canvases = [outpainted(source, PIXELS, PIXELS, (16, 0, 0, 16))]
    canvases.append(outpainted(source, LARGER, LARGER, (24, 0, 0, 24)))
    masks = [margin_mask(PIXELS, PIXELS, (16, 0, 0, 16)), margin_mask(LARGER, LARGER, (24, 0, 0, 24))]
    first = expected(theirs, request, image=canvases[0], mask_image=masks[0], strength=1.0)
    both = Image.composite(enlarged(first), canvases[1], masks[1])
    second = expected(
        theirs, request, image=both, mask_image=masks[1], strength=0.5, width=LARGER, height=LARGER
    )
    assert likeness(second, two_sizes.generate(request).image) >= 50


def test_the_larger_size_alone(two_sizes: Pipeline, tiny_torch: TinyTorch, wanted: GenerationRequest) -> None:
    request = wanted.replace(upscale=1.0, width=LARGER, height=LARGER)
    theirs = expected(drawing(tiny_torch), request, width=LARGER, height=LARGER)
    assert likeness(theirs, two_sizes.generate(request).image) >= 50
    assert np.asarray(theirs).shape == (LARGER, LARGER, 3)
