"""How people write pictures and places in them on the command line."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from sdtui.bundle import Bundle
from sdtui.cli.errors import CommandLineError
from sdtui.cli.picture_options import control, margins
from sdtui.diffusion.pipeline import Pipeline
from sdtui.errors import SdtuiError
from sdtui.history.png import read_origin
from sdtui.request import Control, RequestError
from tests.cli.conftest import sdtui


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("canny=edges.png", Control(name="canny", image="edges.png")),
        ("canny=edges.png:0.8", Control(name="canny", image="edges.png", weight=0.8)),
        ("canny=a.png:1:0-0.5", Control(name="canny", image="a.png", start=0, end=0.5)),
        ("lllyasviel/pose=C:/my pictures/a=b:c.png:.5:.2-1", Control(
            name="lllyasviel/pose", image="C:/my pictures/a=b:c.png", weight=0.5, start=0.2
        )),
        ("depth=a:b", Control(name="depth", image="a:b")),
    ],
)  # fmt: skip
def test_controls(text: str, expected: Control) -> None:
    assert control(text) == expected


@given(
    st.text(st.characters(exclude_characters="=\n", exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1),
    st.integers(0, 1000),
    st.integers(0, 99),
)
def test_any_name_and_path_can_be_said(name: str, image: str, weight: int, start: int) -> None:
    wanted = Control(name=name, image=image, weight=weight / 100, start=start / 100)
    assert control(f"{name}={image}:{wanted.weight}:{wanted.start}-{wanted.end}") == wanted


@given(st.text())
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    for read in (control, margins):
        try:
            read(text)
        except SdtuiError as error:
            assert isinstance(error, CommandLineError | RequestError)


def test_margins() -> None:
    assert margins("64, 0,128,8") == (64, 0, 128, 8)
    for text in ("64", "1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,0,0,0", ""):
        with pytest.raises(CommandLineError, match=r"64,0,64,0"):
            margins(text)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--control", "canny=x.png:1:0.5-0.2"], 2, ["canny", "ends before it starts"]),
        (["--control", "canny=absent.png"], 1, ["absent.png", "no such file"]),
    ],
)
def test_refusals(tiny_bundle: Path, arguments: list[str], code: int, words: list[str]) -> None:
    sdtui("generate", "apple", "--model", tiny_bundle, *arguments).refused(code, *words)


def test_a_picture_can_be_made_again_after_its_source_is_gone(
    tiny_bundle: Path, home: Path, tmp_path: Path
) -> None:
    source, mask = tmp_path / "source.png", tmp_path / "mask.png"
    Image.effect_noise((64, 64), 60).save(source)
    Image.new("L", (64, 64), 255).save(mask)
    ran = sdtui(
        "generate", "apple", "--model", tiny_bundle, "--in-process", "--steps", "2", "--strength", "0.5",
        "--image", source, "--mask", mask, "--output", tmp_path / "made.png", "--precision", "fp32",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    source.unlink()
    request = read_origin(tmp_path / "made.png").request
    assert (request.strength, request.outpaint) == (0.5, None)
    for kept in (request.image, request.mask):
        assert Path(kept or "").parent == home / "data" / "inputs"
    with closing(Pipeline(Bundle.open(tiny_bundle), request.compute_units, request.precision)) as pipeline:
        again = pipeline.generate(request).image
    with Image.open(tmp_path / "made.png") as first:
        difference = ImageChops.difference(again, first)
    assert np.asarray(difference).max() <= 1, "but for what threads sum in another order"
