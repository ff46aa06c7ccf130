"""What float16 cannot hold stays in float32, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sdtui.convert import program
from sdtui.convert.network import convert_network
from sdtui.convert.networks import t5
from sdtui.convert.networks.mmdit import mmdit
from sdtui.convert.networks.safety import safety_checker
from sdtui.convert.networks.t5 import t5_text_encoder
from sdtui.convert.networks.unet import unet
from sdtui.convert.networks.vae import vae_decoder
from sdtui.convert.source import Source
from tests.convert import architectures
from tests.convert.architectures import ONE_LEVEL, POOLED, SDXL, SHAPE, TOKENS
from tests.convert.rounding import measure_rounded
from tests.convert.test_network import operations

WAVES = {"sin", "cos"}
GROUP_NORM = {"reduce_mean", "square", "sqrt"}
RMS_NORM = {"reduce_mean", "pow", "rsqrt"}

KEPT: dict[str, tuple[Callable[[], Source], set[str], int]] = {
    "unet of sdxl": (
        lambda: unet(architectures.unet(**{**SDXL, **ONE_LEVEL}), SHAPE, pooled_size=POOLED),
        WAVES | GROUP_NORM,
        10,
    ),
    "mmdit": (lambda: mmdit(architectures.mmdit(qk_norm="rms_norm"), SHAPE), WAVES | RMS_NORM, 8),
    "t5": (lambda: t5_text_encoder(architectures.t5(), TOKENS), RMS_NORM, 5),
    "safety checker": (
        lambda: safety_checker(architectures.safety_checker(), 6, 4),
        {"reduce_l2_norm"},
        1,
    ),
}
"""Networks, which operations are in float32, and how many norms are written out as such."""


@pytest.mark.parametrize("kind", KEPT)
def test_only_waves_and_statistics_are_in_float32(kind: str, tmp_path: Path) -> None:
    build, kept, norms = KEPT[kind]
    source = build()
    convert_network(source, tmp_path / "n.mlpackage")
    found: dict[str, set[str]] = {}
    for operation in operations(tmp_path / "n.mlpackage"):
        for output in operation.outputs:
            found.setdefault(operation.op_type, set()).add(output.dtype.__type_info__().name)
    around = {"add", "sub", "mul", "real_div", "reshape", "expand_dims", "tile", "cast", "const"}
    assert {kind for kind, dtypes in found.items() if "fp32" in dtypes} - around == kept
    assert all(found[kind] == {"fp32"} for kind in kept)
    casts = sum(operation.op_type == "cast" for operation in operations(tmp_path / "n.mlpackage"))
    waves = 2 * 2 if "sin" in kept else 0
    assert casts <= 2 * norms + waves + len(source.probes[0]) + len(source.outputs) + 2


def loud_unet() -> Source:
    """A UNet with values above 255 where group norm squares them."""
    network = architectures.unet(**ONE_LEVEL)
    with torch.no_grad():
        network.conv_in.weight.mul_(3000)
    return unet(network, SHAPE)


def loud_decoder() -> Source:
    """A decoder with values above 255 where group norm squares them."""
    network = architectures.vae()
    with torch.no_grad():
        network.decoder.conv_in.weight.mul_(3000)
    return vae_decoder(network, 4, 4)


def loud_t5() -> Source:
    """A T5 whose values between the layers exceed what float16 holds."""
    network = architectures.t5()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("wo.weight"):
                parameter.mul_(3e5)
    seen: list[float] = []
    hook = network.encoder.final_layer_norm.register_forward_pre_hook(
        lambda _module, inputs: seen.append(inputs[0].abs().max().item())
    )
    source = t5_text_encoder(network, TOKENS)
    network(torch.arange(TOKENS)[None])
    hook.remove()
    assert seen[0] > 70_000
    return source


@pytest.mark.parametrize("build", [loud_unet, loud_decoder, loud_t5])
def test_large_values_survive_float16(
    build: Callable[[], Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would not if all of it were float16."""
    source = build()
    convert_network(source, tmp_path / "kept.mlpackage")
    assert measure_rounded(source, tmp_path / "kept.mlpackage") >= 50
    monkeypatch.setattr(program, "tolerates_fp16", lambda _operation: True)
    convert_network(source, tmp_path / "all.mlpackage")
    assert measure_rounded(source, tmp_path / "all.mlpackage") < 30


def test_t5_needs_its_residuals_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t5, "RESIDUAL_SCALE", 1.0)
    source = loud_t5()
    convert_network(source, tmp_path / "n.mlpackage")
    assert measure_rounded(source, tmp_path / "n.mlpackage") == float("-inf")
