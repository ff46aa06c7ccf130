"""A package read back and written again is the same network, however its weights were stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sdtui.compress.rewrite import rewrite
from sdtui.conversion import Target
from sdtui.convert.assembly import WEIGHTS
from sdtui.convert.disassembly import Disassembled, disassemble
from sdtui.convert.encoding.encodings import Linear, Palette
from sdtui.convert.network import Storage, compressible
from sdtui.runtime import Array, NetworkError, load_network

X = np.random.default_rng(1).normal(size=(1, 16, 8, 8)).astype(np.float32)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 32, 3, padding=1)
        self.linear = nn.Linear(64, 48)
        self.names = nn.Embedding(100, 32)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.linear(self.conv(x).relu().flatten(2))
        place = rows.sum().to(torch.int32).remainder(100)
        result: Tensor = rows.sum(-1) + self.names(place)
        return result


@pytest.fixture(scope="module")
def plain() -> Callable[[Target], Any]:
    torch.manual_seed(2)
    traced = torch.jit.trace(Small().eval(), torch.from_numpy(X))  # type: ignore[no-untyped-call]
    made: dict[Target, Any] = {}

    def get(target: Target) -> Any:
        if target not in made:
            made[target] = ct.convert(
                traced,
                inputs=[ct.TensorType("x", X.shape, dtype=np.float32)],
                outputs=[ct.TensorType("y", dtype=np.float32)],
                minimum_deployment_target=ct.target[target],
                skip_model_load=True,
            )
        return made[target]

    return get


def config(each: Any) -> Any:
    return cto.OptimizationConfig(global_config=each)


def joint(model: Any) -> Any:
    """A palette whose table is itself compressed: one operation feeds another."""
    palettized = cto.palettize_weights(model, config(cto.OpPalettizerConfig(mode="kmeans", nbits=4)))
    return cto.linear_quantize_weights(
        palettized, config(cto.OpLinearQuantizerConfig(granularity="per_tensor")), joint_compression=True
    )


VARIANTS: dict[str, tuple[Target, Callable[[Any], Any]]] = {
    "plain": ("macOS13", lambda model: model),
    "plain-new": ("macOS15", lambda model: model),
    "palette": (
        "macOS13",
        lambda model: cto.palettize_weights(model, config(cto.OpPalettizerConfig(mode="kmeans", nbits=2))),
    ),
    "linear": (
        "macOS14",
        lambda model: cto.linear_quantize_weights(
            model, config(cto.OpLinearQuantizerConfig(mode="linear", dtype="uint8"))
        ),
    ),
    "joint": ("macOS15", joint),
    "sparse": (
        "macOS15",
        lambda model: cto.prune_weights(model, config(cto.OpMagnitudePrunerConfig(target_sparsity=0.5))),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_written_again_plainly_it_answers_the_same(
    variant: str, plain: Callable[[Target], Any], tmp_path: Path
) -> None:
    target, compress = VARIANTS[variant]
    compress(plain(target)).save(str(tmp_path / "theirs.mlpackage"))
    found = disassemble(tmp_path / "theirs.mlpackage")
    assert found.target == target
    rewrite(found, tmp_path / "ours.mlpackage", Storage())
    theirs, ours = (
        load_network(tmp_path / f"{name}.mlpackage", "cpu-only", "fp32") for name in ("theirs", "ours")
    )
    np.testing.assert_array_equal(ours.predict({"x": X})["y"], theirs.predict({"x": X})["y"])
    kinds = {op.op_type for op in operations(tmp_path / "ours.mlpackage")}
    assert not any(kind.startswith("constexpr") for kind in kinds)


@pytest.mark.parametrize("target", ["macOS13", "macOS15"])
@pytest.mark.parametrize("encoding", [Palette(6), Linear(8)], ids=lambda encoding: encoding.key)
def test_encoded_it_is_read_by_coremltools_and_by_us(
    target: Target, encoding: Palette | Linear, plain: Callable[[Target], Any], tmp_path: Path
) -> None:
    """Both see the weights that the encoding promises."""
    plain(target).save(str(tmp_path / "plain.mlpackage"))
    found = disassemble(tmp_path / "plain.mlpackage")
    weights = [
        each for program in found.functions.values() for each in program.constants if compressible(each)
    ]
    assert {weight.shape for weight in weights} == {(32, 16, 3, 3), (48, 64)}  # no embedding, no vector
    rewrite(found, tmp_path / "small.mlpackage", Storage(compression=encoding))
    dense = disassemble(tmp_path / "small.mlpackage")
    compressed = [op for op in operations(tmp_path / "small.mlpackage") if op.op_type.startswith("constexpr")]
    assert len(compressed) == 2
    for operation in compressed:
        np.testing.assert_array_equal(
            operation.materialized_val_inference(), dense.read(operation.outputs[0].name)
        )
    result, expected = answer(tmp_path / "small.mlpackage"), answer(tmp_path / "plain.mlpackage")
    assert 0 < np.abs(result - expected).max() < 0.1 * np.abs(expected).max()


def test_functions_of_one_package_share_what_they_shared(
    plain: Callable[[Target], Any], tmp_path: Path
) -> None:
    plain("macOS15").save(str(tmp_path / "plain.mlpackage"))
    single = disassemble(tmp_path / "plain.mlpackage")
    (program,) = single.functions.values()
    several = Disassembled(single.target, {"wide": program, "tall": program}, single.read)
    rewrite(several, tmp_path / "both.mlpackage", Storage())
    found = disassemble(tmp_path / "both.mlpackage")
    assert list(found.functions) == ["wide", "tall"]  # the default one first
    rewrite(single, tmp_path / "one.mlpackage", Storage(compression=Palette(4)))
    rewrite(found, tmp_path / "small.mlpackage", Storage(compression=Palette(4)))
    sizes = {(tmp_path / f"{name}.mlpackage" / WEIGHTS).stat().st_size for name in ("one", "small")}
    assert len(sizes) == 1
    for function in ("wide", "tall"):
        model = ct.models.MLModel(
            str(tmp_path / "small.mlpackage"), skip_model_load=True, function_name=function
        )
        assert [each.name for each in model.get_spec().description.functions] == ["wide", "tall"]
    np.testing.assert_array_equal(answer(tmp_path / "small.mlpackage"), answer(tmp_path / "one.mlpackage"))


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="does not exist"):
        disassemble(tmp_path / "none.mlpackage")


def answer(package: Path) -> Array:
    return load_network(package, "cpu-only", "fp32").predict({"x": X})["y"]


def operations(package: Path) -> list[Any]:
    """The operations of a package's main function, as coremltools reads them."""
    from coremltools.converters.mil.frontend.milproto.load import load

    model = ct.models.MLModel(str(package), skip_model_load=True)
    spec = model.get_spec()
    program = load(spec, spec.specificationVersion, model.weights_dir)
    return list(program.functions["main"].operations)
