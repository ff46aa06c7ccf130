"""What we write without weights in memory is what coremltools writes with all of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sdtui.conversion import ComputePrecision, Target
from sdtui.convert.assembly import MODEL, WEIGHTS
from sdtui.convert.network import convert_network
from sdtui.convert.networks.vae import vae_decoder
from sdtui.convert.precision import tolerates_fp16
from sdtui.convert.program import StandIn, coremltools, trace
from sdtui.convert.source import ConversionError, Source
from tests.convert.test_network import text_source, unet_source
from tests.tiny import LATENT, TinyTorch


@pytest.fixture(params=["unet", "text_encoder", "vae_decoder"])
def source(request: pytest.FixtureRequest, tiny_torch: TinyTorch) -> Source:
    match request.param:
        case "unet":
            return unet_source(tiny_torch)
        case "text_encoder":
            return text_source(tiny_torch)
        case _:
            return vae_decoder(tiny_torch.vae, LATENT, LATENT)


@pytest.mark.parametrize(("target", "precision"), [("macOS13", "fp16"), ("macOS15", "fp32")])
def test_the_program_is_that_of_coremltools(
    source: Source, target: Target, precision: ComputePrecision, tmp_path: Path
) -> None:
    convert_network(source, tmp_path / "ours.mlpackage", target=target, precision=precision)
    by_coremltools(source, target, precision).save(str(tmp_path / "theirs.mlpackage"))
    ours, theirs = (read(tmp_path / f"{name}.mlpackage") for name in ("ours", "theirs"))
    assert [str(operation) for operation in ours] == [str(operation) for operation in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine.outputs, other.outputs, strict=True):
            assert (a.name, a.dtype, a.shape) == (b.name, b.dtype, b.shape)
            if a.val is not None:
                np.testing.assert_array_equal(a.val, b.val)


def test_a_conversion_gives_the_same_bytes_again(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        convert_network(unet_source(tiny_torch), tmp_path / f"{name}.mlpackage")
        folder = tmp_path / f"{name}.mlpackage"
        files.append({f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()})
    assert files[0] == files[1]
    assert set(files[0]) == {MODEL, WEIGHTS, Path("Manifest.json")}


def test_the_manifest_names_what_is_there(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    convert_network(text_source(tiny_torch), tmp_path / "t.mlpackage")
    entries = json.loads((tmp_path / "t.mlpackage/Manifest.json").read_text())["itemInfoEntries"]
    assert all((tmp_path / "t.mlpackage/Data" / entry["path"]).exists() for entry in entries.values())


def test_coremltools_leaves_it_as_it_is(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    """It writes the manifest of a package that it opens anew: in other words, it would not verify."""
    convert_network(text_source(tiny_torch), tmp_path / "t.mlpackage")
    before = (tmp_path / "t.mlpackage/Manifest.json").read_bytes()
    read(tmp_path / "t.mlpackage")
    assert (tmp_path / "t.mlpackage/Manifest.json").read_bytes() == before


def test_large_weights_are_named_and_not_held(tiny_torch: TinyTorch) -> None:
    parameters = dict(unet_source(tiny_torch).module.named_parameters())
    program = trace(unet_source(tiny_torch), "macOS13", "fp16")
    named = {constant.parameter for constant in program.constants if constant.parameter}
    assert named == {name for name, parameter in parameters.items() if parameter.numel() > 2048}
    held = [constant.value for constant in program.constants if constant.value is not None]
    assert max(value.size for value in held) <= 2048


def test_the_module_is_left_as_it_was(tiny_torch: TinyTorch) -> None:
    source = unet_source(tiny_torch)
    before = dict(source.module.named_parameters())
    trace(source, "macOS13", "fp16")
    after = dict(source.module.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)


def test_a_stand_in_stays_one_when_it_is_cast() -> None:
    array = np.broadcast_to(np.float32(7e-5), (64, 64)).view(StandIn)
    array.parameter = "weight"
    half = array.astype(np.float16)
    assert (half.parameter, half.dtype, half.strides, half.shape) == ("weight", np.float16, (0, 0), (64, 64))


def test_weights_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    layer = torch.nn.Linear(64, 64)
    torch.nn.init.constant_(layer.weight, 70_000)
    source = Source("unet", Only(layer), ({"x": np.zeros((1, 64), np.float32)},), ("y",))
    with pytest.raises(ConversionError, match="too large"):
        convert_network(source, tmp_path / "u.mlpackage")
    assert not list(tmp_path.iterdir())
    convert_network(source, tmp_path / "u.mlpackage", precision="fp32")


class Only(torch.nn.Module):
    """One layer whose output is wrapped as Source wants it."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layer(x),)


def by_coremltools(source: Source, target: Target, precision: ComputePrecision) -> Any:
    """The way with all weights, as the documentation of coremltools shows it."""
    ct = coremltools()
    probe = source.probes[0]
    pipeline = ct.PassPipeline.DEFAULT
    pipeline.remove_passes(["common::add_int16_cast"])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            source.module, tuple(torch.from_numpy(array) for array in probe.values()), check_trace=False
        )
        return ct.convert(
            traced,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target[target],
            inputs=[ct.TensorType(name, array.shape, dtype=array.dtype) for name, array in probe.items()],
            outputs=[ct.TensorType(name, dtype=float) for name in source.outputs],
            compute_precision=(
                ct.precision.FLOAT32
                if precision == "fp32"
                else ct.transform.FP16ComputePrecision(op_selector=tolerates_fp16)
            ),
            pass_pipeline=pipeline,
            skip_model_load=True,
        )


def read(package: Path) -> list[Any]:
    """The operations of a package's main function, as coremltools reads them."""
    from coremltools.converters.mil.frontend.milproto.load import load

    model = coremltools().models.MLModel(str(package), skip_model_load=True)
    spec = model.get_spec()
    return list(load(spec, spec.specificationVersion, model.weights_dir).functions["main"].operations)
