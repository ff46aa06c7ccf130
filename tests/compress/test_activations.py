"""Eight bits for what goes into layers: where, in which steps, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil.mil import types

from sdtui.bundle import Bundle
from sdtui.compress.activations import quantize_inputs, steps, tolerant
from sdtui.compress.analysis import Bench
from sdtui.compress.calibration import Inputs
from sdtui.compress.layers import Change, LayeredNetwork
from sdtui.compress.noise import decibels, mean, relative_noise
from sdtui.compress.request import CompressionError
from sdtui.compress.rewrite import rewrite
from sdtui.conversion import Target
from sdtui.convert.disassembly import Disassembled, disassemble
from sdtui.convert.encoding.encodings import Linear
from sdtui.convert.network import Storage
from tests.compress.test_rewrite import operations


@pytest.fixture
def package(tiny_for: Callable[[Target], Path]) -> Path:
    return Bundle.open(tiny_for("macOS14")).network("unet")


def quantized(package: Path, chosen: dict[str, float], output: Path) -> Path:
    source = disassemble(package)
    program = quantize_inputs(source.functions["main"], source.target, chosen)
    rewrite(
        Disassembled(source.target, {"main": program}, source.read), output, Storage(compression=Linear(8))
    )
    return output


def test_the_written_network_rounds_as_was_measured(
    package: Path, inputs: list[Inputs], tmp_path: Path
) -> None:
    bench = Bench(LayeredNetwork(package), inputs)
    chosen = steps(bench)
    written = quantized(
        package, {layer.operation: step for layer, step in chosen.items()}, tmp_path / "w8a8.mlpackage"
    )
    network = LayeredNetwork(written)
    changes = {layer: Change(bench.stored(layer, Linear(8)).weight, step) for layer, step in chosen.items()}
    noises = []
    for run, sample, reference in zip(bench.copies(), inputs, bench.references, strict=True):
        answer = network.start(sample).finish()
        np.testing.assert_allclose(answer["noise_pred"], run.finish(changes)["noise_pred"], atol=0.02)
        noises.append(relative_noise(reference, answer))
    assert 25 < decibels(mean(noises)) < 60


def test_layers_with_one_input_share_its_rounding(package: Path, tmp_path: Path) -> None:
    """Query, key and value are made of the same words; coremltools reads what we write."""
    names = [op.outputs[0].name for op in operations(package) if op.op_type in ("conv", "linear")]
    found = operations(quantized(package, dict.fromkeys(names, 0.05), tmp_path / "q.mlpackage"))
    rounded = {op.outputs[0].name: op for op in found if op.op_type == "dequantize"}
    sources = [op.inputs["x"].name for op in found if op.op_type in ("conv", "linear")]
    assert len(sources) == len(names)
    assert set(sources) == set(rounded)
    assert len(rounded) < len(names)
    for operation in rounded.values():
        quantize = operation.inputs["input"].op
        assert quantize.op_type == "quantize"
        assert types.builtin_to_string(quantize.outputs[0].dtype) == "int8"
        assert quantize.inputs["scale"].val == operation.inputs["scale"].val == np.float16(0.05)


def test_only_tolerant_layers_are_chosen(package: Path, inputs: list[Inputs]) -> None:
    bench = Bench(LayeredNetwork(package), inputs)
    everything = tolerant(bench, 1.0)
    assert set(everything) == set(bench.network.layers)
    strict = Bench(LayeredNetwork(package), inputs)
    chosen = tolerant(strict, 60.0)
    assert 0 < len(chosen) < len(everything)
    for layer, step in everything.items():
        again = Bench(LayeredNetwork(package), inputs)
        alone = again.noise({layer: Change(again.stored(layer, Linear(8)).weight, step)})
        assert (decibels(alone) >= 60) == (layer.operation in {each.operation for each in chosen})


def test_steps_cut_off_a_few_to_serve_the_many(package: Path, inputs: list[Inputs]) -> None:
    bench = Bench(LayeredNetwork(package), inputs)
    run = bench.copies()[0]
    for layer, step in steps(bench).items():
        run.advance(layer)
        largest = float(run.input(layer).abs().max())
        assert step > 0
        assert step * 127 > 0.39 * largest


def test_macos13_has_no_rounding(tiny_bundle: Path) -> None:
    source = disassemble(tiny_bundle / "Unet.mlpackage")
    with pytest.raises(CompressionError, match="converted for macOS13"):
        quantize_inputs(source.functions["main"], source.target, {})
