"""What is measured, kept, and gone on with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from sdtui.bundle import Bundle
from sdtui.compress.analysis import Analysis, Bench, analyse, load, resume
from sdtui.compress.calibration import Calibration, Inputs, record
from sdtui.compress.layers import LayeredNetwork
from sdtui.compress.recipe import Tradeoff
from sdtui.compress.request import CompressionError
from sdtui.diffusion.errors import Cancelled
from tests.compress.conftest import CALIBRATION


def test_samples_are_from_every_part_of_a_picture() -> None:
    moments = Calibration(prompts=("a", "b", "c"), samples=10, steps=10).moments()
    assert [len(steps) for steps in moments] == [4, 3, 3]
    assert sorted(step for steps in moments for step in steps) == list(range(1, 11))
    assert len(Calibration(prompts=("a", "b", "c"), samples=2).moments()) == 2


def test_the_same_values_record_the_same_inputs(tiny_bundle: Path, inputs: list[Inputs]) -> None:
    bundle = Bundle.open(tiny_bundle)
    again = record(bundle, ["unet", "text_encoder", "vae_encoder"], CALIBRATION)
    other = record(bundle, ["unet"], CALIBRATION.other())["unet"]
    assert len(inputs) == len(again["unet"]) == len(other) == 3
    for first, second, third in zip(inputs, again["unet"], other, strict=True):
        assert set(first) == {"sample", "timestep", "encoder_hidden_states"}
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
        assert (first["sample"] != third["sample"]).any()
    timesteps = [float(sample["timestep"][0]) for sample in inputs]
    assert len(set(timesteps)) == 3
    assert [set(sample) for sample in again["text_encoder"]] == [{"input_ids"}] * 3
    assert again["vae_encoder"] == []  # no picture leads through it


def test_fewer_bits_are_noisier_and_noises_add_up(bench: Bench, fresh: Analysis) -> None:
    analyse(bench, fresh)
    assert list(fresh.weights) == [layer.weight for layer in bench.network.layers]
    for weight in fresh.weights.values():
        assert weight.noise["palette-1"] > weight.noise["palette-2"] > weight.noise["palette-4"] > 0
    for bits in (2.5, 4.0, 6.0):
        recipe = Tradeoff(fresh).within_bits(bits)
        together = bench.recipe_noise(recipe.encodings)
        assert 0.5 < together / recipe.noise < 2


def test_measuring_goes_on_where_it_was_stopped(
    tiny_bundle: Path, inputs: list[Inputs], bench: Bench, fresh: Analysis, tmp_path: Path
) -> None:
    file = tmp_path / "analysis.json"
    fractions: list[float] = []
    with pytest.raises(Cancelled):
        analyse(bench, fresh, file, fractions.append, lambda: len(fractions) == 5)
    kept = load(file)
    assert len(kept.weights) == 5
    assert fractions == sorted(fractions)

    anew = Analysis(network="tiny", calibration=CALIBRATION, encodings=fresh.encodings)
    resumed = resume(file, anew)
    assert resumed == kept
    analyse(Bench(LayeredNetwork(tiny_bundle / "Unet.mlpackage"), inputs), resumed, file, fractions.append)
    assert fractions[-1] == 1
    analyse(Bench(LayeredNetwork(tiny_bundle / "Unet.mlpackage"), inputs), anew)
    assert load(file) == resumed == anew


def test_another_network_or_way_of_measuring_begins_anew(fresh: Analysis, tmp_path: Path) -> None:
    file = tmp_path / "analysis.json"
    assert resume(file, fresh) is fresh
    file.write_bytes(msgspec.json.encode(fresh))
    for change in ({"network": "x"}, {"encodings": ["palette-2"]}, {"calibration": Calibration(seed=9)}):
        other = Analysis(
            **{
                "network": "tiny",
                "calibration": CALIBRATION,
                "encodings": fresh.encodings,
                **change,  # type: ignore[arg-type]
            }
        )
        assert resume(file, other) is other


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 2', b"\xff"])
def test_other_files_are_refused(content: bytes, fresh: Analysis, tmp_path: Path) -> None:
    file = tmp_path / "analysis.json"
    file.write_bytes(content)
    with pytest.raises(CompressionError, match="cannot be read"):
        resume(file, fresh)


def test_a_later_form_is_refused(fresh: Analysis, tmp_path: Path) -> None:
    fresh.format = 99
    (tmp_path / "a.json").write_bytes(msgspec.json.encode(fresh))
    with pytest.raises(CompressionError, match="later sdtui"):
        load(tmp_path / "a.json")
