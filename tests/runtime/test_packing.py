"""Packed layers give what torch's own do, and only layers that may be are packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name
from hypothesis import given, settings
from hypothesis import strategies as st

from sdtui.runtime import Array
from sdtui.runtime.portable import onednn
from sdtui.runtime.portable.network import PortableNetwork
from sdtui.runtime.portable.ops.linear import conv
from sdtui.runtime.portable.packing import packed_conv
from tests.runtime.networks import psnr
from tests.runtime.programs import save_program

_random = np.random.default_rng(4)


def _normal(*shape: int) -> Array:
    return _random.standard_normal(shape).astype(np.float32)


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, the processor has no library to pack weights for."""
    return lambda: monkeypatch.setattr(onednn, "available", lambda _dtype: False)


def test_this_machine_packs() -> None:
    """Without it the tests below would compare torch with itself."""
    assert onednn.available(torch.float32)
    assert not onednn.available(torch.float16)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    groups=st.integers(1, 3),
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.sampled_from([("valid", ()), ("same", ()), ("same_lower", ()), ("custom", (1, 0, 2, 1))]),
    activation=st.sampled_from(["", "relu", "silu", "gelu"]),
    innermost=st.booleans(),
)
def test_a_packed_convolution(
    channels: tuple[int, int],
    groups: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    padding: tuple[str, tuple[int, ...]],
    activation: str,
    innermost: bool,
) -> None:
    pad_type, pad = padding
    effective = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    kernel = tuple(k if e <= n else 1 for k, e, n in zip(kernel, effective, size, strict=True))  # type: ignore[assignment]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels[0] * groups, *size, generator=generator)
    weight = torch.randn(channels[1] * groups, channels[0], *kernel, generator=generator)
    bias = torch.randn(channels[1] * groups, generator=generator)
    options: dict[str, Any] = {
        "strides": strides,
        "pad_type": pad_type,
        "pad": pad,
        "dilations": dilations,
        "groups": groups,
        "activation": activation,
    }
    given_x = x.contiguous(memory_format=torch.channels_last) if innermost else x
    result = packed_conv(tuple(x.shape), weight, **options)(given_x, bias)
    torch.testing.assert_close(result, conv(x, weight, bias, **options), rtol=1e-4, atol=1e-4)


def _layers(x: Any, weights: list[Array]) -> Any:
    """A convolution, a pointwise one over a flat grid, and a linear layer over the last axis."""
    convolved = mb.conv(x=x, weight=weights[0], pad_type="same")
    flat = mb.expand_dims(x=mb.reshape(x=convolved, shape=[2, 8, 30]), axes=[2])
    pointwise = mb.conv(x=flat, weight=weights[1], pad_type="valid")
    normal = mb.layer_norm(x=pointwise, axes=[1], gamma=weights[3], beta=weights[3], epsilon=1e-5)
    halves = mb.split(x=normal, num_splits=2, axis=1)
    joined = mb.concat(values=[halves[1], halves[0]], axis=1)
    return mb.linear(x=mb.concat(values=[joined, flat], axis=3), weight=weights[2])


def test_channels_stay_in_their_places(tmp_path: Path, unpacked: Callable[[], None]) -> None:
    """Shapes with an axis of size 1, which torch takes for either memory format."""
    x, weights = _normal(2, 3, 5, 6), [_normal(8, 3, 3, 3), _normal(8, 8, 1, 1), _normal(7, 60), _normal(8)]
    path = save_program(tmp_path / "a.mlpackage", lambda x: _layers(x, weights), x)
    packed = PortableNetwork(path, "cpu-only", "fp32").predict({"input_0": x})
    unpacked()
    plain = PortableNetwork(path, "cpu-only", "fp32").predict({"input_0": x})
    assert packed.keys() == plain.keys()
    for name, value in plain.items():
        assert psnr(value, packed[name]) > 110


def test_a_weight_that_two_layers_share(tmp_path: Path) -> None:
    x, matrix = _normal(2, 4), _normal(4, 4)

    def build(x: Any) -> Any:
        weight = mb.const(val=matrix)
        return mb.linear(x=mb.linear(x=x, weight=weight), weight=weight)

    network = PortableNetwork(save_program(tmp_path / "a.mlpackage", build, x), "cpu-only", "fp32")
    (result,) = network.predict({"input_0": x}).values()
    np.testing.assert_allclose(result, x @ matrix.T @ matrix.T, rtol=1e-4, atol=1e-4)
