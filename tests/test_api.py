"""``sdtui.generate`` makes pictures in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

import sdtui
from sdtui.bundle import BundleError
from sdtui.request import RequestError
from sdtui.settings import Settings, save_settings


def test_one_picture_for_each_seed(tiny_bundle: Path, home: Path) -> None:
    assert home.exists()
    pictures = list(sdtui.generate("a red apple", model=str(tiny_bundle), steps=2, seed=2**32 - 1, count=2))
    assert [picture.request.seed for picture in pictures] == [2**32 - 1, 0]
    assert pictures[0].image.tobytes() != pictures[1].image.tobytes()
    assert isinstance(pictures[0], sdtui.Picture)


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
