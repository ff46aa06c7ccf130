"""PNG files that say how they were made."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from PIL import Image

from sdtui.history import Origin
from sdtui.history.png import (
    SAMPLERS,
    PictureError,
    encode_png,
    parameters,
    picture_name,
    read_origin,
    save_picture,
)
from sdtui.request import SCHEDULERS, GenerationRequest
from tests.strategies import origins

APPLE = Origin(
    request=GenerationRequest(prompt="A red apple, on blue!", negative_prompt="blurry", seed=7, steps=12),
    model="starter",
    model_hash="0123456789abcdef" * 4,
    runtime="portable fp32",
    version="0.1.0",
)
NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@given(origins)
@settings(max_examples=50)
def test_any_request_survives_the_file(origin: Origin) -> None:
    content = encode_png(Image.new("RGB", (8, 8), "red"), origin)
    assert read_origin(io.BytesIO(content)) == origin
    assert picture_name(origin, NOON).isascii()
    assert len(picture_name(origin, NOON)) < 100


def test_other_tools_find_the_parameters() -> None:
    with Image.open(io.BytesIO(encode_png(Image.new("RGB", (64, 48)), APPLE))) as image:
        assert image.info["parameters"] == (
            "A red apple, on blue!\n"
            "Negative prompt: blurry\n"
            "Steps: 12, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 7, Size: 64x48, "
            "Model hash: 0123456789, Model: starter, Version: sdtui 0.1.0"
        )


def test_other_tools_find_how_much_was_made_anew() -> None:
    origin = msgspec.structs.replace(APPLE, request=APPLE.request.replace(image="/x.png", strength=0.6))
    assert ", Denoising strength: 0.6, " in parameters(origin, (8, 8))


def test_every_scheduler_has_a_name_that_other_tools_know() -> None:
    assert set(SAMPLERS) == set(SCHEDULERS)


def test_a_model_name_with_a_comma_is_quoted() -> None:
    origin = Origin(request=APPLE.request, model="a, b", model_hash="", runtime="", version="1")
    assert ', Model: "a, b", ' in parameters(origin, (8, 8))


def test_names_say_when_which_and_what(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "blue")
    first = save_picture(tmp_path / "new", image, APPLE, NOON)
    second = save_picture(tmp_path / "new", image, APPLE, NOON)
    moment = NOON.astimezone().strftime("%Y%m%d-%H%M%S")
    assert first.name == f"{moment}-7-a-red-apple-on-blue.png"
    assert second.name == f"{moment}-7-a-red-apple-on-blue-2.png"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted([first.name, second.name])


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PictureError, match="cannot be written"):
        save_picture(tmp_path / "file" / "folder", Image.new("RGB", (8, 8)), APPLE, NOON)


def test_pictures_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    with pytest.raises(PictureError, match="no such file"):
        read_origin(path)
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(PictureError, match="sdtui did not write it"):
        read_origin(path)
    path.write_bytes(encode_png(Image.new("RGB", (64, 64)), APPLE)[:-60])
    with pytest.raises(PictureError):
        read_origin(path)
