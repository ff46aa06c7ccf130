"""Converted networks have Apple's inputs and outputs, and answer what torch answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import NetworkRole
from sdtui.convert.accuracy import measure, psnr
from sdtui.convert.encoding.encodings import Palette, PaletteBits
from sdtui.convert.network import convert_network
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.text import clip_text_encoder
from sdtui.convert.networks.unet import unet
from sdtui.convert.source import PROBED_TIMESTEPS, Source
from sdtui.runtime import load_network
from tests.tiny import LATENT, PIXELS, TOKENS, TinyTorch

CONTRACT: dict[NetworkRole, tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = {
    "text_encoder": (
        {"input_ids": (1, TOKENS)},
        {
            "last_hidden_state": (1, TOKENS, 16),
            "pooled_outputs": (1, 16),
            "penultimate_hidden_state": (1, TOKENS, 16),  # ours alone
        },
    ),
    "unet": (
        {
            "sample": (2, 4, LATENT, LATENT),
            "timestep": (2,),
            "encoder_hidden_states": (2, 16, 1, TOKENS),
        },
        {"noise_pred": (2, 4, LATENT, LATENT)},
    ),
    "vae_decoder": ({"z": (1, 4, LATENT, LATENT)}, {"image": (1, 3, PIXELS, PIXELS)}),
    "vae_encoder": ({"x": (1, 3, PIXELS, PIXELS)}, {"latent": (1, 8, LATENT, LATENT)}),
}


def unet_source(tiny: TinyTorch, batch: int = 2) -> Source:
    return unet(tiny.unet, Shape(LATENT, LATENT, TOKENS, batch))


def text_source(tiny: TinyTorch) -> Source:
    config = tiny.text_encoder.config
    return clip_text_encoder(tiny.text_encoder, config.bos_token_id, config.eos_token_id, TOKENS)


@pytest.mark.parametrize("role", CONTRACT)
def test_inputs_and_outputs_are_apples(role: NetworkRole, tiny_bundle: Path) -> None:
    network = load_network(Bundle.open(tiny_bundle).network(role), "cpu-only", "fp32")
    for specs, expected in zip((network.inputs, network.outputs), CONTRACT[role], strict=True):
        assert {name: spec.shape for name, spec in specs.items()} == expected
        assert {spec.dtype for spec in specs.values()} == {np.dtype(np.float32)}
    network.close()


@pytest.mark.parametrize("role", CONTRACT)
def test_in_float32_the_network_is_torch(role: NetworkRole, tiny_bundle_fp32: Path) -> None:
    accuracy = Bundle.open(tiny_bundle_fp32).manifest.networks[role].psnr
    assert accuracy is not None
    assert accuracy >= 125


@pytest.mark.parametrize(
    ("role", "decibels"), [("text_encoder", 65), ("unet", 70), ("vae_decoder", 70), ("vae_encoder", 70)]
)
def test_float16_weights_cost_this_much(role: NetworkRole, decibels: float, tiny_bundle: Path) -> None:
    accuracy = Bundle.open(tiny_bundle).manifest.networks[role].psnr
    assert accuracy is not None
    assert decibels <= accuracy < 110


@pytest.mark.parametrize("timestep", PROBED_TIMESTEPS)
def test_float16_is_as_good_late_as_early(timestep: int, tiny_bundle: Path, tiny_torch: TinyTorch) -> None:
    """A float16 timestep embedding gives 59 dB at 999 and 61 at 801."""
    source = unet_source(tiny_torch)
    network = load_network(tiny_bundle / "Unet.mlpackage", "cpu-only", "fp32")
    probe = {**source.probes[0], "timestep": np.full(2, timestep, np.float32)}
    ratio = psnr(source.predict(probe)["noise_pred"], network.predict(probe)["noise_pred"])
    network.close()
    assert ratio >= 70


def test_what_float16_cannot_hold_stays_in_float32(tiny_bundle: Path) -> None:
    kept = {"sin", "cos", "square", "sqrt", "reduce_mean"}
    found = Counter(
        (operation.op_type, output.dtype.__type_info__().name)
        for operation in operations(tiny_bundle / "Unet.mlpackage")
        for output in operation.outputs
        if operation.op_type in kept | {"conv", "linear"}
    )
    assert {kind for kind, dtype in found if dtype == "fp32"} == kept
    assert {kind for kind, dtype in found if dtype == "fp16"} == {"conv", "linear"}


@pytest.mark.parametrize(("nbits", "decibels"), [(8, 40), (4, 15)])
def test_palettes(nbits: PaletteBits, decibels: float, tiny_torch: TinyTorch, tmp_path: Path) -> None:
    text = text_source(tiny_torch)
    wide = Source(
        "unet", torch.nn.Sequential(Words(), torch.nn.Linear(16, 256), Alone()), text.probes, ("y",)
    )
    convert_network(wide, tmp_path / "wide.mlpackage", compression=Palette(nbits))
    assert decibels <= measure(wide, tmp_path / "wide.mlpackage") < decibels + 30
    table = next(
        op for op in operations(tmp_path / "wide.mlpackage") if op.op_type == "constexpr_lut_to_dense"
    )
    assert table.lut.val.size == 2**nbits


def test_other_targets(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    encoder = text_source(tiny_torch)
    convert_network(encoder, tmp_path / "t.mlpackage", target="macOS15", precision="fp32")
    assert measure(encoder, tmp_path / "t.mlpackage") >= 110


def test_what_is_there_is_not_overwritten(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    encoder = text_source(tiny_torch)
    (tmp_path / "t.mlpackage").mkdir()
    with pytest.raises(FileExistsError):
        convert_network(encoder, tmp_path / "t.mlpackage")
    assert [path.name for path in tmp_path.iterdir()] == ["t.mlpackage"]


def test_psnr() -> None:
    reference = np.array([3.0, -4.0])
    assert psnr(reference, reference) == float("inf")
    assert psnr(reference, reference + 0.4) == pytest.approx(20)
    assert psnr(reference, np.array([np.nan, 0])) == float("-inf")
    assert psnr(np.zeros(2), np.zeros(2)) == float("inf")
    assert psnr(np.zeros(2), reference) == float("-inf")


class Words(torch.nn.Module):
    """Something 16 wide for each token."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.sin(ids[..., None] / torch.arange(1.0, 17.0))


class Alone(torch.nn.Module):
    def forward(self, y: torch.Tensor) -> tuple[torch.Tensor]:
        return (y,)


def operations(package: Path) -> list[Any]:
    """The operations of a package's main function, as coremltools reads them."""
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    model = coremltools.models.MLModel(str(package), skip_model_load=True)
    spec = model.get_spec()
    program = load(spec, spec.specificationVersion, model.weights_dir)
    return list(program.functions["main"].operations)
