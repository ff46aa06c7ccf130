"""Converted networks of every kind, run by the portable runtime, against their torch originals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdtui.runtime import load_network
from tests.runtime.networks import NETWORKS, Sample, psnr

FP32 = [
    ("text_encoder", "macOS13"),
    ("unet", "macOS15"),
    ("unet_xl", "macOS13"),
    ("vae_decoder", "macOS13"),
    ("vae_decoder", "macOS15"),
    ("vae_encoder", "macOS13"),
]


@pytest.mark.parametrize(("name", "target"), FP32)
def test_an_fp32_program_agrees_with_torch(
    name: str, target: str, sample: Callable[[str], Sample], converted: Callable[..., Path]
) -> None:
    original = sample(name)
    network = load_network(converted(name, "fp32", target), precision="fp32")
    result = network.predict(original.inputs)[original.output]
    assert result.dtype == np.float32
    assert psnr(original.expected, result) >= 100


@pytest.mark.parametrize("name", NETWORKS)
def test_an_fp16_program_agrees_with_torch(
    name: str, sample: Callable[[str], Sample], converted: Callable[..., Path]
) -> None:
    original = sample(name)
    network = load_network(converted(name, "fp16", "macOS14"), precision="fp32")
    assert psnr(original.expected, network.predict(original.inputs)[original.output]) >= 55
