"""A rearranged network is the network that it was, in another layout."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from sdtui.conversion import Attention
from sdtui.convert.accuracy import psnr
from sdtui.convert.attention import QUERY_BLOCK, SpatialTransformer, rearrange
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.controlnet import controlnet
from sdtui.convert.networks.unet import control_unet, unet
from sdtui.convert.source import ConversionError, Source
from tests.convert import architectures
from tests.convert.architectures import POOLED, REFINER, SDXL, SHAPE

SPLIT: tuple[Attention, ...] = ("SPLIT_EINSUM", "SPLIT_EINSUM_V2")

UNETS: dict[str, dict[str, Any]] = {
    "sd1": {},
    "sd2": {"use_linear_projection": True, "attention_head_dim": (1, 2), "upcast_attention": True},
    "inpainting": {"in_channels": 9},
    "sdxl": SDXL,
    "refiner": REFINER,
    "lcm": {"time_cond_proj_dim": 6},
    "only_cross_attention": {"only_cross_attention": True},
    "projected text": {"encoder_hid_dim": 10, "encoder_hid_dim_type": "text_proj"},
    "no middle": {"mid_block_type": None},
}


def agreement(original: Source, rearranged: Source) -> float:
    """The lowest PSNR over all probes and outputs."""
    ratios = []
    for probe in original.probes:
        expected, found = original.predict(probe), rearranged.predict(probe)
        ratios += [psnr(expected[name], found[name]) for name in original.outputs]
    return min(ratios)


@pytest.mark.parametrize("implementation", SPLIT)
@pytest.mark.parametrize("kind", UNETS)
def test_unets_answer_the_same(kind: str, implementation: Attention) -> None:
    network = architectures.unet(**UNETS[kind])
    original = unet(network, SHAPE, pooled_size=POOLED)
    assert agreement(original, unet(rearrange(network, implementation), SHAPE, pooled_size=POOLED)) >= 120


@pytest.mark.parametrize("implementation", SPLIT)
@pytest.mark.parametrize("shape", [Shape(8, 8, 5, 1), Shape(24, 24, 20), Shape(17, 15, 12)])
def test_at_any_size(shape: Shape, implementation: Attention) -> None:
    """24 x 24 pixels are more queries than a block of SPLIT_EINSUM_V2, and no multiple of it."""
    assert QUERY_BLOCK < 24 * 24
    assert 24 * 24 % QUERY_BLOCK
    network = architectures.unet()
    assert agreement(unet(network, shape), unet(rearrange(network, implementation), shape)) >= 120


@pytest.mark.parametrize("wrap", [control_unet, controlnet])
@pytest.mark.parametrize("overrides", [{}, SDXL], ids=["sd1", "sdxl"])
def test_control_answers_the_same(wrap: Callable[..., Source], overrides: dict[str, Any]) -> None:
    build = architectures.unet if wrap is control_unet else architectures.controlnet
    if wrap is controlnet:
        overrides = {name: value for name, value in overrides.items() if name != "up_block_types"}
    network = build(**overrides)
    original = wrap(network, SHAPE, pooled_size=POOLED)
    assert agreement(original, wrap(rearrange(network, "SPLIT_EINSUM"), SHAPE, pooled_size=POOLED)) >= 120


def test_norms_without_scale_and_with_a_scale_of_zero() -> None:
    network = architectures.unet()
    norms = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    with torch.no_grad():
        norms[0].weight.zero_()
    for norm in norms[1:3]:
        norm.weight = norm.bias = None  # type: ignore[assignment]
    assert agreement(unet(network, SHAPE), unet(rearrange(network, "SPLIT_EINSUM"), SHAPE)) >= 120


def weights(network: nn.Module) -> dict[str, tuple[int, int, torch.dtype]]:
    """Where each weight lies, how many numbers it has, and of which type."""
    return {name: (p.data_ptr(), p.numel(), p.dtype) for name, p in network.named_parameters()}


@pytest.mark.parametrize("implementation", get_args(Attention))
def test_weights_keep_their_names_and_their_memory(implementation: Attention) -> None:
    network = architectures.unet().half()
    before = dict(network.named_modules())
    arranged = rearrange(network, implementation)
    assert any(isinstance(module, SpatialTransformer) for module in arranged.modules()) == (
        implementation != "ORIGINAL"
    )
    assert weights(arranged) == weights(network)
    assert dict(network.named_modules()) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("implementation", get_args(Attention))
def test_half_weights_compute_in_float32(dtype: torch.dtype, implementation: Attention) -> None:
    """The reference of a network whose weights are narrow is that of their float32 copies."""
    narrow = rearrange(architectures.unet().to(dtype), implementation)
    wide = copy.deepcopy(narrow).float()
    sources = unet(wide, SHAPE), unet(narrow, SHAPE)
    for probe in sources[0].probes:
        expected, found = (source.predict(probe)["noise_pred"] for source in sources)
        assert found.dtype == np.float32
        assert psnr(expected, found) >= 130


REFUSED: dict[str, dict[str, Any]] = {
    "GELU": {"activation": nn.GELU()},
    "norm_q": {"norm_q": nn.LayerNorm(4)},
    "rescaled": {"rescale_output_factor": 2.0},
    "a LoRACompatibleLinear": {"to_q": type("LoRACompatibleLinear", (nn.Linear,), {})(8, 8)},
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_attention_is_refused(what: str) -> None:
    network = architectures.unet()
    block: Any = network.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0")
    for name, value in REFUSED[what].items():
        if name == "activation":
            block.ff.net[0] = value
        else:
            setattr(block.attn1, name, value)
    with pytest.raises(ConversionError, match=what):
        rearrange(network, "SPLIT_EINSUM")


def test_attention_elsewhere_is_refused() -> None:
    network = architectures.unet(down_block_types=("CrossAttnDownBlock2D", "AttnDownBlock2D"))
    with pytest.raises(ConversionError, match="outside of a spatial transformer"):
        rearrange(network, "SPLIT_EINSUM")
