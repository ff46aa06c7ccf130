"""What precision costs and keeps, that results repeat, and that dead values are let go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from sdtui.runtime import NetworkError, load_network
from sdtui.runtime.portable import network as portable
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.network import PortableNetwork
from sdtui.runtime.portable.package import open_package
from sdtui.runtime.portable.plan import Plan, prepare
from tests.runtime.networks import NETWORKS, Sample, psnr
from tests.runtime.programs import save_program

NetworkOf = Callable[..., Path]
SampleOf = Callable[[str], Sample]


@pytest.mark.parametrize("name", NETWORKS)
def test_bf16_stays_close(name: str, sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted(name, "fp16", "macOS14"), precision="bf16")
    assert network.runtime == "portable bf16"
    original = sample(name)
    assert psnr(original.expected, network.predict(original.inputs)[original.output]) >= 36


def test_what_is_declared_fp32_is_computed_in_fp32(sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted("vae_decoder", "fp32"), precision="bf16")
    assert network.runtime == "portable fp32"
    original = sample("vae_decoder")
    assert psnr(original.expected, network.predict(original.inputs)["image"]) >= 100


def test_the_timestep_keeps_its_digits_in_bf16(sample: SampleOf, converted: NetworkOf) -> None:
    """801 and 803 are the same number in bf16."""
    network = load_network(converted("unet", "fp16", "macOS14"), precision="bf16")
    exact = load_network(converted("unet", "fp16", "macOS14"), precision="fp32")
    inputs = sample("unet").inputs
    later = {**inputs, "timestep": inputs["timestep"] + 2}
    moved = network.predict(later)["noise_pred"] - network.predict(inputs)["noise_pred"]
    expected = exact.predict(later)["noise_pred"] - exact.predict(inputs)["noise_pred"]
    assert np.abs(moved).max() > 0.5 * np.abs(expected).max() > 0


@pytest.mark.parametrize(("native", "runtime"), [(True, "portable bf16"), (False, "portable fp32")])
def test_auto_takes_what_the_processor_has(
    native: bool, runtime: str, converted: NetworkOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False)
    network = portable.PortableNetwork(converted("text_encoder", "fp16", "macOS14"), "cpu-only")
    assert network.runtime == runtime


def test_fp16_on_a_processor_is_refused(converted: NetworkOf) -> None:
    with pytest.raises(NetworkError, match="hundreds of times longer"):
        load_network(converted("text_encoder"), "cpu-only", "fp16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_inputs_give_the_same_bytes(precision: str, sample: SampleOf, converted: NetworkOf) -> None:
    path = converted("unet", "fp16", "macOS14")
    inputs = sample("unet").inputs
    first = load_network(path, "cpu-only", precision)  # type: ignore[arg-type]
    second = load_network(path, "cpu-only", precision)  # type: ignore[arg-type]
    results = [network.predict(inputs)["noise_pred"].tobytes() for network in (first, first, second)]
    assert len(set(results)) == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_streamed_weights_give_the_same_result(
    precision: Literal["fp32", "bf16"],
    sample: SampleOf,
    converted: NetworkOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sdtui.runtime.portable.constants.STREAMED_ABOVE", 64)
    path = converted("unet", "fp16", "macOS14")
    inputs = sample("unet").inputs
    resident = PortableNetwork(path, "cpu-only", precision).predict(inputs)["noise_pred"]
    streamed = PortableNetwork(path, "cpu-only", precision, streamed=True)
    # Not the same bytes: weights that stay are packed, and their products are summed in another order.
    assert psnr(resident, streamed.predict(inputs)["noise_pred"]) >= {"fp32": 110, "bf16": 45}[precision]
    assert sum(callable(register) for register in _plan(path, streamed=True).registers) > 20


def _plan(path: Path, *, streamed: bool = False) -> Plan:
    package = open_package(path)
    function = package.model.function
    constants = Constants(package, function, torch.device("cpu"), streamed=streamed)
    return prepare(function, constants, None)


def test_values_are_let_go_after_their_last_use(converted: NetworkOf) -> None:
    plan = _plan(converted("unet", "fp16", "macOS14"))
    alive = set(plan.inputs.values())
    most = 0
    constants = {slot for slot, value in enumerate(plan.registers) if value is not None} | {0}
    for step in plan.steps:
        assert set(step.inputs) <= alive | constants, "a value was let go too early"
        alive |= set(step.outputs)
        most = max(most, len(alive))
        alive -= set(step.dead)
    assert alive <= set(plan.outputs.values()) | set(plan.inputs.values())
    assert len(plan.steps) > 200
    assert most < 25


def test_a_network_does_not_keep_or_change_what_it_is_given(sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted("vae_decoder", "fp32"), precision="fp32")
    z = sample("vae_decoder").inputs["z"].copy()
    given = z.copy()
    first = network.predict({"z": given})["image"]
    np.testing.assert_array_equal(given, z)
    given += 1
    first[:] = 0
    again = network.predict({"z": z})["image"]
    assert psnr(sample("vae_decoder").expected, again) >= 100


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_any_number_type_is_taken(dtype: type, sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted("text_encoder"), precision="fp32")
    original = sample("text_encoder")
    result = network.predict({"input_ids": original.inputs["input_ids"].astype(dtype)})
    assert result["last_hidden_state"].dtype == np.float32
    assert psnr(original.expected, result["last_hidden_state"]) >= 100


def test_inputs_and_outputs_declared_fp16(tmp_path: Path) -> None:
    x = np.array([[1.0, 2.5]], np.float16)
    path = save_program(tmp_path / "a.mlpackage", lambda x: mb.mul(x=x, y=np.float16(3)), x)
    network = load_network(path, precision="fp32")
    (name,), (result,) = network.inputs, network.outputs
    assert network.inputs[name].dtype == network.outputs[result].dtype == np.float16
    product = network.predict({name: x})[result]
    assert product.dtype == np.float32
    assert product.tolist() == [[3.0, 7.5]]


def test_wrong_inputs_name_themselves(sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted("vae_decoder"), precision="fp32")
    z = sample("vae_decoder").inputs["z"]
    for inputs, why in [
        ({}, "the input z is missing"),
        ({"z": z, "y": z}, "it has no input y"),
        ({"z": z[0]}, r"the input z has the shape \(4, 8, 8\), it must be \(1, 4, 8, 8\)"),
        ({"z": z.astype(str)}, "the input z holds no numbers"),
    ]:
        with pytest.raises(NetworkError, match=why):
            network.predict(inputs)


def test_a_closed_network_says_so(sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted("vae_decoder"), precision="fp32")
    network.close()
    with pytest.raises(NetworkError, match="it is closed"):
        network.predict(sample("vae_decoder").inputs)


def test_an_index_out_of_range_names_the_operation(sample: SampleOf, converted: NetworkOf) -> None:
    network = load_network(converted("text_encoder"), precision="fp32")
    ids = sample("text_encoder").inputs["input_ids"] + 1000
    with pytest.raises(NetworkError, match=r"its operation gather .* failed"):
        network.predict({"input_ids": ids})
