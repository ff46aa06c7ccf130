"""OpenVINO as the executor: the same numbers, in the precision that a program declares, or torch instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from sdtui.runtime import Array, NetworkError
from sdtui.runtime.portable import openvino
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.fusion import fuse, join_activations
from sdtui.runtime.portable.network import PortableNetwork
from sdtui.runtime.portable.openvino.division import divided, precisions
from sdtui.runtime.portable.openvino.innermost import channels_innermost
from sdtui.runtime.portable.package import open_package
from sdtui.runtime.portable.program import Function
from tests.runtime.networks import Sample, psnr
from tests.runtime.programs import save_program

_random = np.random.default_rng(11)
CPU = torch.device("cpu")


def _normal(*shape: int) -> Array:
    return _random.standard_normal(shape).astype(np.float32)


def _fused(path: Path) -> tuple[Function, Constants]:
    package = open_package(path)
    constants = Constants(package, package.model.function, CPU)
    return join_activations(fuse(package.model.function, constants), constants), constants


@pytest.mark.parametrize(
    ("name", "precision"), [("unet", "fp16"), ("unet_xl", "fp32"), ("vae_decoder", "fp16")]
)
def test_a_network_gives_what_torch_gives(
    name: str, precision: str, sample: Callable[[str], Sample], converted: Callable[..., Path]
) -> None:
    path, original = converted(name, precision, "macOS14"), sample(name)
    expected = PortableNetwork(path, "cpu-only", "fp32").predict(original.inputs)[original.output]
    network = PortableNetwork(path, "cpu-only", "fp32", executor="openvino")
    assert network.runtime == "portable openvino fp32"
    result = network.predict(original.inputs)[original.output]
    assert result.dtype == np.float32
    assert psnr(expected, result) > 110
    assert network.predict(original.inputs)[original.output].tobytes() == result.tobytes()


def test_half_precision_leaves_the_timestep_exact(tiny_bundle: Path) -> None:
    path = tiny_bundle / "Unet.mlpackage"
    exact = PortableNetwork(path, "cpu-only", "fp32")
    inputs = {name: _normal(*spec.shape) for name, spec in exact.inputs.items()}
    inputs["timestep"] = np.full(exact.inputs["timestep"].shape, 501, np.float32)
    expected = exact.predict(inputs)["noise_pred"]
    by_torch = PortableNetwork(path, "cpu-only", "bf16").predict(inputs)["noise_pred"]
    network = PortableNetwork(path, "cpu-only", "bf16", executor="openvino")
    assert network.runtime == "portable openvino bf16"
    assert psnr(expected, network.predict(inputs)["noise_pred"]) > psnr(expected, by_torch) - 2


def test_what_is_declared_in_fp32_stays_in_fp32(
    sample: Callable[[str], Sample], converted: Callable[..., Path]
) -> None:
    original = sample("unet_xl")
    path = converted("unet_xl", "fp32", "macOS14")
    network = PortableNetwork(path, "cpu-only", "bf16", executor="openvino")
    assert network.runtime == "portable openvino fp32"
    assert psnr(original.expected, network.predict(original.inputs)[original.output]) > 100


def test_torch_runs_a_program_in_two_precisions(tmp_path: Path) -> None:
    x, half = _normal(2, 3), _normal(2, 3).astype(np.float16)

    def build(x: Any, y: Any) -> Any:
        product = mb.matmul(x=y, y=y, transpose_y=True)
        return mb.matmul(x=mb.cast(x=product, dtype="fp32"), y=x)

    path = save_program(tmp_path / "a.mlpackage", build, x, half)
    assert PortableNetwork(path, "cpu-only", "bf16", executor="openvino").runtime == "portable bf16"
    assert PortableNetwork(path, "cpu-only", "fp32", executor="openvino").runtime == "portable openvino fp32"


def test_the_exact_part_is_that_of_the_timestep(tiny_bundle: Path) -> None:
    fused, constants = _fused(tiny_bundle / "Unet.mlpackage")
    exact, rest = divided(fused)
    made = {operation.type for operation in exact.operations if operation.name not in constants}
    assert {"sin", "cos"} <= made
    assert not made & {"linear", "conv"}
    assert precisions(rest) == {"fp16"}
    assert precisions(fused) == {"fp16", "fp32"}
    assert {value.name for value in rest.inputs} == set(exact.outputs)


def test_rows_of_tokens_are_not_moved_back_and_forth(tmp_path: Path) -> None:
    x, weight = _normal(2, 8, 3, 4), _normal(8, 8, 1, 1)

    def build(x: Any) -> Any:
        rows = mb.expand_dims(x=mb.reshape(x=x, shape=(2, 8, 12)), axes=[2])
        normal = mb.layer_norm(x=rows, axes=[1], gamma=weight[:, 0, 0, 0], beta=weight[0, :, 0, 0])
        left, right = mb.split(x=mb.conv(x=normal, weight=weight), num_splits=2, axis=1)
        gated = mb.mul(x=left, y=mb.gelu(x=right, mode="EXACT"))
        joined = mb.add(x=mb.concat(values=[gated, right], axis=1), y=rows)
        return mb.reshape(x=mb.conv(x=joined, weight=weight), shape=(2, 8, 3, 4))

    path = save_program(tmp_path / "a.mlpackage", build, x)
    fused, constants = _fused(path)
    moved = channels_innermost(fused, constants)
    types = [operation.type for operation in moved.operations if operation.name not in constants]
    assert types.count("transpose") == 2
    ours = PortableNetwork(path, "cpu-only", "fp32").predict({"input_0": x})
    network = PortableNetwork(path, "cpu-only", "fp32", executor="openvino")
    assert "openvino" in network.runtime
    for name, result in network.predict({"input_0": x}).items():
        assert psnr(ours[name], result) > 110


def test_torch_runs_what_openvino_does_not_know(tmp_path: Path) -> None:
    x = _normal(2, 3)

    def build(x: Any) -> Any:
        return mb.reverse(x=mb.matmul(x=x, y=x, transpose_y=True), axes=[1])

    path = save_program(tmp_path / "a.mlpackage", build, x)
    network = PortableNetwork(path, "cpu-only", "fp32", executor="openvino")
    assert network.runtime == "portable fp32"
    (result,) = network.predict({"input_0": x}).values()
    np.testing.assert_allclose(result, (x @ x.T)[:, ::-1], rtol=1e-5)


def test_it_is_left_what_runs_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    large = 1 << 30
    assert openvino.suits(CPU, large, ("sample", "timestep", "noise_pred"))
    assert openvino.suits(CPU, large, ("hidden_states", "noise_pred"))
    assert not openvino.suits(CPU, large, ("input_ids", "last_hidden_state"))
    assert not openvino.suits(CPU, 1 << 20, ("sample", "timestep", "noise_pred"))
    assert not openvino.suits(torch.device("cuda"), large, ("sample", "timestep"))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not openvino.suits(CPU, large, ("sample", "timestep"))


def test_auto_takes_it_where_it_suits(
    monkeypatch: pytest.MonkeyPatch, converted: Callable[..., Path]
) -> None:
    path = converted("unet", "fp16", "macOS14")
    assert PortableNetwork(path, "cpu-only", "fp32").runtime == "portable fp32"
    monkeypatch.setattr(openvino, "suits", lambda *_: True)
    assert PortableNetwork(path, "cpu-only", "fp32").runtime == "portable openvino fp32"
    assert PortableNetwork(path, "cpu-only", "fp32", streamed=True).runtime == "portable fp32"


def test_closed_it_says_so(converted: Callable[..., Path], sample: Callable[[str], Sample]) -> None:
    network = PortableNetwork(converted("unet", "fp16", "macOS14"), "cpu-only", "fp32", executor="openvino")
    network.close()
    with pytest.raises(NetworkError, match="it is closed"):
        network.predict(sample("unet").inputs)
