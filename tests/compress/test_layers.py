"""A network stopped and changed between its steps answers as one that was written like that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdtui.compress.analysis import Bench
from sdtui.compress.calibration import Inputs
from sdtui.compress.layers import Change, LayeredNetwork
from sdtui.compress.noise import decibels, from_decibels, relative_noise
from sdtui.compress.rewrite import rewrite
from sdtui.convert.disassembly import disassemble
from sdtui.convert.encoding.encodings import WEIGHT_THRESHOLD, Palette
from sdtui.convert.network import Storage
from sdtui.runtime import NetworkError, load_network


def test_unchanged_it_is_the_network(tiny_bundle: Path, inputs: list[Inputs], bench: Bench) -> None:
    """But for rounding: a network that is loaded to be run has its weights packed."""
    network = load_network(tiny_bundle / "Unet.mlpackage", "cpu-only", "fp32")
    for sample, reference in zip(inputs, bench.references, strict=True):
        answer = network.predict(sample)["noise_pred"]
        np.testing.assert_allclose(answer, reference["noise_pred"], rtol=0, atol=1e-4)


def test_going_on_from_the_middle_changes_nothing(bench: Bench) -> None:
    for layer in bench.network.layers[:: len(bench.network.layers) // 4]:
        for run, reference in zip(bench.runs, bench.references, strict=True):
            run.advance(layer)
            np.testing.assert_array_equal(run.finish()["noise_pred"], reference["noise_pred"])


def test_layers_are_found_in_order_with_their_weights(bench: Bench) -> None:
    layers = bench.network.layers
    assert [layer.step for layer in layers] == sorted(layer.step for layer in layers)
    assert len({layer.weight for layer in layers}) == len(layers) > 10
    for layer in layers:
        weight = bench.network.weight(layer)
        assert weight.shape == layer.shape
        assert weight.dtype == np.float16
        assert weight.size == layer.elements > WEIGHT_THRESHOLD


def test_changed_it_is_the_package_that_is_written(
    tiny_bundle: Path, inputs: list[Inputs], bench: Bench, tmp_path: Path
) -> None:
    """Two layers far apart, alone and together."""
    first, last = bench.network.layers[1], bench.network.layers[-1]
    source = disassemble(tiny_bundle / "Unet.mlpackage")
    for number, layers in enumerate(([first], [last], [last, first])):
        package = tmp_path / f"{number}.mlpackage"
        rewrite(source, package, Storage(exceptions={layer.weight: Palette(2) for layer in layers}))
        written = LayeredNetwork(package)
        changes = {layer: bench.stored(layer, Palette(2)) for layer in layers}
        for run, sample, reference in zip(bench.copies(), inputs, bench.references, strict=True):
            answer = run.finish(changes)["noise_pred"]
            np.testing.assert_array_equal(answer, written.start(sample).finish()["noise_pred"])
            assert (answer != reference["noise_pred"]).any()


def test_a_rounded_input_is_seen_by_its_layer_alone(bench: Bench) -> None:
    """The values that go into a residual block also go around it."""
    run = bench.copies()[0]
    layer = bench.network.layers[4]
    run.advance(layer)
    before = run.input(layer).clone()
    coarse = run.finish({layer: Change(scale=float(before.abs().max()) / 4)})
    fine = run.finish({layer: Change(scale=float(before.abs().max()) / 127)})
    exact = bench.references[0]
    assert run.input(layer).equal(before)
    assert 0 < relative_noise(exact, fine) < 0.05 * relative_noise(exact, coarse)


def test_wrong_inputs_are_refused(tiny_bundle: Path) -> None:
    network = LayeredNetwork(tiny_bundle / "Unet.mlpackage")
    with pytest.raises(NetworkError, match="timestep"):
        network.start({"sample": np.zeros((2, 4, 8, 8), np.float32)})


def test_noise_and_decibels() -> None:
    reference = {"a": np.array([1.0, -2.0]), "b": np.array([10.0, 0.0])}
    measured = {"a": np.array([1.0, -2.2]), "b": np.array([10.0, 0.0])}
    noise = relative_noise(reference, measured)
    assert noise == pytest.approx(0.02 / 4)
    assert from_decibels(decibels(noise)) == pytest.approx(noise)
    assert decibels(relative_noise(reference, reference)) == float("inf")
    broken = {**measured, "b": np.array([np.nan, 0.0])}
    assert decibels(relative_noise(reference, broken)) == -120
