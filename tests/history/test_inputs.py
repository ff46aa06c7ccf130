"""A request can be sent again after the person's own picture has changed or gone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PIL import Image

from sdtui.history.inputs import InputError, keep_pictures
from sdtui.request import Control, GenerationRequest


@pytest.fixture
def request_(tmp_path: Path) -> GenerationRequest:
    """A request that starts from three different pictures."""
    for name, colour in (("photo.jpg", "red"), ("mask.png", "white"), ("edges.webp", "blue")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    return GenerationRequest(
        prompt="an apple",
        image=str(tmp_path / "photo.jpg"),
        mask=str(tmp_path / "mask.png"),
        controls=(
            Control(name="canny", image=str(tmp_path / "edges.webp"), weight=0.5, end=0.5),
            Control(name="pose", image=str(tmp_path / "mask.png")),
        ),
    )


def paths(request: GenerationRequest) -> list[Path]:
    return [
        Path(path or "") for path in (request.image, request.mask, *(each.image for each in request.controls))
    ]


def test_pictures_are_kept_by_their_content(request_: GenerationRequest, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "inputs"
    kept = keep_pictures(request_, folder)
    for mine, theirs in zip(paths(kept), paths(request_), strict=True):
        content = theirs.read_bytes()
        assert mine == folder / f"{hashlib.sha256(content).hexdigest()}{theirs.suffix}"
        assert mine.read_bytes() == content
    assert len(list(folder.iterdir())) == 3
    assert (kept.controls[0].weight, kept.controls[0].end) == (0.5, 0.5)
    assert kept.replace(image=None, mask=None, controls=()) == request_.replace(
        image=None, mask=None, controls=()
    )


def test_what_was_kept_is_sent_again_when_the_original_is_gone(
    request_: GenerationRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "inputs"
    kept = keep_pictures(request_, folder)
    for path in paths(request_):
        path.unlink(missing_ok=True)
    before = {file: file.stat().st_ino for file in folder.iterdir()}
    assert keep_pictures(kept, folder) == kept
    assert {file: file.stat().st_ino for file in folder.iterdir()} == before


def test_a_request_without_pictures_makes_no_folder(tmp_path: Path) -> None:
    request = GenerationRequest(prompt="an apple")
    assert keep_pictures(request, tmp_path / "inputs") is request
    assert not (tmp_path / "inputs").exists()


def test_paths_are_those_of_the_one_who_asks(
    request_: GenerationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = Path("inputs")
    kept = [
        keep_pictures(request_.replace(image=path), folder).image for path in ("photo.jpg", "~/photo.jpg")
    ]
    assert kept[0] == kept[1] == keep_pictures(request_, folder).image


def test_what_cannot_be_kept_is_refused_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path / "absent.png", "no such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is not a file"),
        (Path("/dev/zero"), "it is not a file"),
        (Path("~nobody-of-that-name/x.png"), "home directory"),
    ):
        with pytest.raises(InputError) as caught:
            keep_pictures(GenerationRequest(prompt="x", image=str(path)), tmp_path / "inputs")
        assert why in str(caught.value)
        assert "\n" not in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be kept"):
        keep_pictures(
            GenerationRequest(prompt="x", image=str(tmp_path / "file")), tmp_path / "file" / "inputs"
        )


def test_a_kept_picture_that_was_removed_is_told(request_: GenerationRequest, tmp_path: Path) -> None:
    kept = keep_pictures(request_, tmp_path / "inputs")
    Path(kept.mask or "").unlink()
    with pytest.raises(InputError, match="no such file"):
        keep_pictures(kept, tmp_path / "inputs")
