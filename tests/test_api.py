"""``sdtui.generate`` makes pictures in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import sdtui
from sdtui.bundle import BundleError
from sdtui.diffusion.prompt.errors import PromptError
from sdtui.request import RequestError
from sdtui.settings import Settings, save_settings


def test_one_picture_for_each_seed(tiny_bundle: Path, home: Path) -> None:
    assert home.exists()
    pictures = list(sdtui.generate("a red apple", model=str(tiny_bundle), steps=2, seed=2**32 - 1, count=2))
    assert [picture.request.seed for picture in pictures] == [2**32 - 1, 0]
    assert pictures[0].image.tobytes() != pictures[1].image.tobytes()
    assert isinstance(pictures[0], sdtui.Picture)


def test_choices_are_drawn_for_each_picture(tiny_bundle: Path, home: Path) -> None:
    assert home.exists()
    pictures = list(sdtui.generate("a {red|green} apple", model=str(tiny_bundle), steps=1, seed=0, count=3))
    prompts = [picture.request.prompt for picture in pictures]
    assert set(prompts) == {"a red apple", "a green apple"}
    assert {picture.request.template for picture in pictures} == {"a {red|green} apple"}
    again = sdtui.generate(prompts[1], model=str(tiny_bundle), steps=1, seed=1)
    assert [picture.image.tobytes() for picture in again] == [pictures[1].image.tobytes()]


def test_the_model_of_the_settings(tiny_bundle: Path, home: Path) -> None:
    assert home.exists()
    save_settings(Settings(model=str(tiny_bundle)))
    assert [picture.model for picture in sdtui.generate("a red apple", steps=1)] == ["tiny"]


def test_mistakes_are_told_at_the_call(home: Path) -> None:
    assert home.exists()
    with pytest.raises(RequestError, match="steps"):
        sdtui.generate("a red apple", steps=-1)
    with pytest.raises(BundleError, match="there is no model /nowhere"):
        sdtui.generate("a red apple", model="/nowhere")
    with pytest.raises(PromptError, match="__fruit__ cannot be used, there is no"):
        sdtui.generate("a red __fruit__")


def test_it_starts_from_a_picture_which_is_kept(tiny_bundle: Path, home: Path, tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 60).save(tmp_path / "source.png")
    (picture,) = sdtui.generate(
        "a red apple", model=str(tiny_bundle), steps=2, strength=0.5, image=tmp_path / "source.png"
    )
    assert Path(picture.request.image or "").parent == home / "data" / "inputs"
