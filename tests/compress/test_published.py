"""Recipes that Apple's pre-analysis wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdtui.bundle import Bundle
from sdtui.compress.compress import compress
from sdtui.compress.published import read_recipe
from sdtui.compress.request import CompressionError, CompressionRequest, Published
from sdtui.convert.encoding.encodings import Palette
from tests.compress.test_rewrite import operations

WEIGHTS = ["unet_conv_in_weight_to_fp16", "unet_mid_conv_in_weight_to_fp16", "unet.up.0.proj.weight"]
CONTENT = {
    "single_layer": {"2": {"conv_in": [30.1]}},
    "cumulative": {},
    "model_version": "some/model",
    "baselines": {"original": 82.2, "linear_8bit": 66.0},
    "recipes": {
        "recipe_4.50_bit_mixedpalette": {"conv_in": 4, "up.0.proj": 2, "mid.conv_in": 16},
        "other": {"down.0": 4},
        "odd": {"conv_in": 5},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some-model_palettization_recipe.json"
    path.write_text(json.dumps(CONTENT))
    return path


def test_modules_are_found_by_their_weights(file: Path) -> None:
    assert read_recipe(file, "recipe_4.50_bit_mixedpalette", WEIGHTS) == {
        "unet_conv_in_weight_to_fp16": Palette(4),
        "unet.up.0.proj.weight": Palette(2),
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [("none", "choose recipe_4.50"), ("other", "the model has no down.0"), ("odd", "palette-5")],
)
def test_other_recipes_are_refused(name: str, said: str, file: Path) -> None:
    with pytest.raises(CompressionError, match=said.replace(".", r"\.")):
        read_recipe(file, name, WEIGHTS)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"recipes": 3}'])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CompressionError, match="cannot be read"):
        read_recipe(tmp_path / "x.json", "a", WEIGHTS)
    with pytest.raises(CompressionError, match="no such file"):
        read_recipe(tmp_path / "none.json", "a", WEIGHTS)


def test_a_recipe_is_applied(tiny_bundle: Path, tmp_path: Path) -> None:
    """Two modules of the tiny UNet; all others stay as they are."""
    modules = {"down_blocks.0.resnets.0.conv1": 4, "up_blocks.1.resnets.0.conv2": 2}
    (tmp_path / "r.json").write_text(json.dumps({"recipes": {"r": modules}}))
    report = compress(
        CompressionRequest(
            model=str(tiny_bundle),
            output=str(tmp_path / "small"),
            goal=Published(str(tmp_path / "r.json"), "r"),
            samples=1,
        )
    )
    (unet,) = report.networks
    assert unet.encoding == "mixed"
    assert 8 < unet.nbits < 16
    package = Bundle.open(tmp_path / "small").network("unet")
    tables = {op.lut.val.size for op in operations(package) if op.op_type == "constexpr_lut_to_dense"}
    assert tables == {16, 4}
