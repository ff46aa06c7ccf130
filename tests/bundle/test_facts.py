"""What a network says about itself, in a package and compiled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import pytest
from coremltools.converters.mil import Builder
from coremltools.optimize import coreml as compression

from sdtui.bundle.facts import read_facts
from sdtui.runtime import NetworkError
from tests.bundle.foreign import compiled
from tests.runtime.mil_text_writer import compile_package
from tests.runtime.programs import save_program
from tests.tiny import TOKENS, TinyTorch


def test_a_package(tiny_bundle: Path, tiny_torch: TinyTorch) -> None:
    facts = read_facts(tiny_bundle / "TextEncoder.mlpackage")
    vocabulary = json.loads((tiny_torch.tokenizer / "vocab.json").read_text())
    assert facts.inputs == {"input_ids": (1, TOKENS)}
    assert facts.outputs["last_hidden_state"] == (1, TOKENS, 16)
    assert facts.vocabulary == len(vocabulary)
    assert (facts.target, facts.nbits, facts.encoding) == ("macOS13", None, None)
    unet = read_facts(tiny_bundle / "Unet.mlpackage")
    assert (unet.vocabulary, unet.einsum) == (None, False)


def two_layers(path: Path, target: str) -> Any:
    """A program with a weight of 64 x 64 and one of 64 x 192, as coremltools has it in memory."""
    blocks = np.random.default_rng(0).standard_normal((4, 64, 64)).astype(np.float32)
    save_program(
        path,
        lambda x: Builder.linear(
            x=Builder.linear(x=x, weight=blocks[0], name="small"),
            weight=np.concatenate(blocks[1:]),
            name="large",
        ),
        np.zeros((1, 64), np.float32),
        target=target,
    )
    return coremltools.models.MLModel(str(path), skip_model_load=True)


def config(**weights: Any) -> Any:
    return compression.OptimizationConfig(op_name_configs=weights)


@pytest.mark.parametrize(
    ("target", "version", "nbits"),
    [("iOS16", "macOS13", 4), ("iOS18", "macOS15", 3), ("iOS18", "macOS15", 8)],
)
def test_a_palettized_package(tmp_path: Path, target: str, version: str, nbits: int) -> None:
    model = two_layers(tmp_path / "plain.mlpackage", target)
    palette = compression.OptimizationConfig(compression.OpPalettizerConfig(nbits=nbits))
    compression.palettize_weights(model, palette).save(str(tmp_path / "palette.mlpackage"))
    facts = read_facts(tmp_path / "palette.mlpackage")
    assert (facts.nbits, facts.encoding, facts.target) == (nbits, "palettized", version)


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_a_package_of_integers(tmp_path: Path, target: str) -> None:
    model = two_layers(tmp_path / "plain.mlpackage", target)
    linear = compression.OptimizationConfig(compression.OpLinearQuantizerConfig())
    compression.linear_quantize_weights(model, linear).save(str(tmp_path / "linear.mlpackage"))
    facts = read_facts(tmp_path / "linear.mlpackage")
    assert (facts.nbits, facts.encoding) == (8, "linear")


def test_a_package_that_mixes(tmp_path: Path) -> None:
    model = two_layers(tmp_path / "plain.mlpackage", "iOS16")
    model = compression.linear_quantize_weights(model, config(small=compression.OpLinearQuantizerConfig()))
    model = compression.palettize_weights(model, config(large=compression.OpPalettizerConfig(nbits=4)))
    model.save(str(tmp_path / "mixed.mlpackage"))
    facts = read_facts(tmp_path / "mixed.mlpackage")
    assert (facts.nbits, facts.encoding) == (5, "mixed")  # a quarter at 8, the rest at 4


def test_a_compiled_network(tmp_path: Path) -> None:
    network = compiled(
        tmp_path / "TextEncoder.mlmodelc",
        {"input_ids": [1, 77]},
        {"last_hidden_state": []},
        rows=49410,
        version="runwayml/stable-diffusion-v1-5",
        license="OpenRAIL",
        storagePrecision="Mixed (Float16, Palettized (6 bits))",
    )
    facts = read_facts(network)
    assert (facts.inputs, facts.outputs) == ({"input_ids": (1, 77)}, {"last_hidden_state": ()})
    assert (facts.vocabulary, facts.target, facts.einsum) == (49410, "macOS13", False)
    assert (facts.model_id, facts.licence) == ("runwayml/stable-diffusion-v1-5", "OpenRAIL")
    assert (facts.nbits, facts.encoding) == (6, "palettized")


def test_a_compiled_network_that_nobody_described(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its program says nearly all that its package does; whose model it is was never in there."""
    package = tiny_bundle / "TextEncoder.mlpackage"
    network = compile_package(package, tmp_path / "TextEncoder.mlmodelc", metadata=False)
    assert read_facts(network) == replace(read_facts(package), model_id="", licence="")


@pytest.mark.parametrize("operation", ["Ios16.einsum", "Ios17.einsum", "Ios18.einsum"])
def test_a_split_attention(tmp_path: Path, operation: str) -> None:
    network = compiled(tmp_path / "U.mlmodelc", {"x": [1]}, {"y": [1]}, operations={operation: 32})
    assert read_facts(network).einsum


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("Float16", (None, None)),
        ("Mixed (Float16, Int8)", (8, "linear")),
        ("Mixed (Float16, Palettized (1 bit), Palettized (6 bits))", (None, "palettized")),
        ("Mixed (Float16, Int8, Palettized (4 bits))", (None, "mixed")),
    ],
)
def test_how_a_compiled_network_is_stored(
    tmp_path: Path, stored: str, expected: tuple[float | None, str | None]
) -> None:
    facts = read_facts(compiled(tmp_path / "U.mlmodelc", {}, {}, storagePrecision=stored))
    assert (facts.nbits, facts.encoding) == expected


@pytest.mark.parametrize("content", ["", "{", "[]", "[{}, {}]", '[{"inputSchema": [], "outputSchema": 3}]'])
def test_broken_metadata(tmp_path: Path, content: str) -> None:
    network = compiled(tmp_path / "U.mlmodelc", {}, {})
    (network / "metadata.json").write_text(content)
    with pytest.raises(NetworkError, match=r"cannot load U\.mlmodelc, its metadata\.json"):
        read_facts(network)


@pytest.mark.parametrize(
    "shape", ["", "3", "{}", "[", "[Infinity]", "[1e400]", "[-1]", "[1.5]", f"[{1 << 90}]", "[" * 100_000]
)
def test_broken_shapes_in_metadata(tmp_path: Path, shape: str) -> None:
    network = compiled(tmp_path / "U.mlmodelc", {"x": [1]}, {})
    file = network / "metadata.json"
    file.write_text(file.read_text().replace('"[1]"', json.dumps(shape)))
    with pytest.raises(NetworkError, match=r"its metadata\.json does not describe arrays"):
        read_facts(network)


@pytest.mark.parametrize("version", ["x", [7], None])
def test_broken_details_in_metadata(tmp_path: Path, version: object) -> None:
    network = compiled(tmp_path / "U.mlmodelc", {}, {}, specificationVersion=version)
    with pytest.raises(NetworkError, match=r"its metadata\.json"):
        read_facts(network)
