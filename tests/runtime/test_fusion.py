"""Fusion: that it fires, that it changes nothing, and that it leaves alone what only looks alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from sdtui.runtime import Array
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.executor import execute
from sdtui.runtime.portable.fusion import fuse, join_activations
from sdtui.runtime.portable.package import open_package
from sdtui.runtime.portable.plan import Plan, prepare
from tests.runtime.networks import Sample, psnr
from tests.runtime.programs import save_program

_random = np.random.default_rng(9)


def _normal(*shape: int) -> Array:
    return _random.standard_normal(shape).astype(np.float32)


def _plans(path: Path) -> tuple[Plan, Plan]:
    """The plan of a package as it is written, and fused."""
    package = open_package(path)
    function = package.model.function
    constants = Constants(package, function, torch.device("cpu"))
    fused = join_activations(fuse(function, constants), constants)
    return prepare(function, constants, None), prepare(fused, constants, None)


def _operations(plan: Plan) -> Counter[str]:
    return Counter(step.operation.split()[0] for step in plan.steps)


def _compare(path: Path, *inputs: Array) -> Counter[str]:
    """The operations of the fused program, after checking that it gives what the unfused one gives."""
    plain, fused = _plans(path)
    tensors = dict(zip(plain.inputs, map(torch.from_numpy, inputs), strict=True))
    expected, results = execute(plain, tensors), execute(fused, tensors)
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        assert psnr(value.numpy(), results[name].numpy()) > 110
    return _operations(fused)


@pytest.mark.parametrize(
    ("name", "precision", "target", "norms", "attentions"),
    [
        ("unet", "fp16", "macOS14", 21, 8),
        ("vae_decoder", "fp32", "macOS13", 14, 1),
        ("vae_decoder", "fp32", "macOS15", 14, 1),
        ("text_encoder", "fp32", "macOS13", 0, 2),
    ],
)
def test_the_networks_of_stable_diffusion_are_fused(
    name: str,
    precision: str,
    target: str,
    norms: int,
    attentions: int,
    sample: Callable[[str], Sample],
    converted: Callable[..., Path],
) -> None:
    operations = _compare(converted(name, precision, target), *sample(name).inputs.values())
    assert operations["group_norm"] == norms
    assert operations["scaled_dot_product_attention"] == attentions
    assert not operations.keys() & {"square", "sqrt", "softmax", "matmul", "batch_norm", "reduce_mean"}


def _group_norm(x: Any, groups: int, axes: tuple[int, ...] = (2, 3, 4), epsilon: float = 1e-3) -> Any:
    samples, channels, height, width = x.shape
    grouped = mb.reshape(x=x, shape=[samples, groups, channels // groups, height, width])
    centred = mb.sub(x=grouped, y=mb.reduce_mean(x=grouped, axes=axes, keep_dims=True))
    variance = mb.reduce_mean(x=mb.square(x=centred), axes=axes, keep_dims=True)
    normal = mb.real_div(x=centred, y=mb.sqrt(x=mb.add(x=variance, y=epsilon)))
    return mb.reshape(x=normal, shape=[samples, channels, height, width])


def test_group_norm_with_and_without_scale(tmp_path: Path) -> None:
    x, gamma, beta = _normal(2, 6, 4, 5), _normal(6), _normal(6)

    def build(x: Any) -> tuple[Any, Any]:
        scaled = mb.batch_norm(
            x=_group_norm(x, 3),
            mean=np.zeros(6, np.float32),
            variance=np.ones(6, np.float32),
            gamma=gamma,
            beta=beta,
            epsilon=0.25,
        )
        return scaled, _group_norm(x, 2)

    assert _compare(save_program(tmp_path / "a.mlpackage", build, x), x) == {"group_norm": 2}


def test_a_value_inside_a_chain_that_is_used_elsewhere_survives(tmp_path: Path) -> None:
    x = _normal(2, 6, 4, 5)

    def build(x: Any) -> tuple[Any, Any]:
        gate = mb.sigmoid(x=x)
        return mb.mul(x=gate, y=x), mb.add(x=gate, y=1.0)

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, x), x)
    assert operations == {"silu": 1, "sigmoid": 1, "add": 1}


@pytest.mark.parametrize("axes", [(2, 3), (1, 2, 3, 4)])
def test_statistics_over_other_axes_are_no_group_norm(axes: tuple[int, ...], tmp_path: Path) -> None:
    x = _normal(2, 6, 4, 5)
    path = save_program(tmp_path / "a.mlpackage", lambda x: _group_norm(x, 3, axes), x)
    assert "group_norm" not in _compare(path, x)


def test_a_batch_norm_with_statistics_of_its_own_stays(tmp_path: Path) -> None:
    x = _normal(2, 6, 4, 5)

    def build(x: Any) -> Any:
        return mb.batch_norm(
            x=_group_norm(x, 3),
            mean=np.full(6, 0.5, np.float32),
            variance=np.ones(6, np.float32),
            gamma=np.ones(6, np.float32),
            beta=np.zeros(6, np.float32),
            epsilon=1e-5,
        )

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, x), x)
    assert operations == {"group_norm": 1, "batch_norm": 1}


def _standard(q: Any, k: Any, v: Any) -> Any:
    """(n, heads, tokens, d), as diffusers has it."""
    scores = mb.mul(x=mb.matmul(x=q, y=k, transpose_y=True), y=0.3)
    return mb.matmul(x=mb.softmax(x=scores, axis=-1), y=v)


def _masked(q: Any, k: Any, v: Any) -> Any:
    scores = mb.add(x=mb.matmul(x=q, y=k, transpose_y=True), y=_normal(1, 1, 5, 7))
    return mb.matmul(x=mb.softmax(x=scores, axis=3), y=v)


def _transposed(q: Any, k: Any, v: Any) -> Any:
    """(n, heads, d, tokens), as Apple's ORIGINAL attention has it."""
    scores = mb.matmul(x=_swapped(q), y=_swapped(k), transpose_x=True)
    weights = mb.softmax(x=mb.mul(x=scores, y=0.3), axis=3)
    return mb.matmul(x=_swapped(v), y=weights, transpose_y=True)


def _swapped(x: Any) -> Any:
    return mb.transpose(x=x, perm=[0, 1, 3, 2])


@pytest.mark.parametrize("build", [_standard, _masked, _transposed])
def test_attention_in_every_layout(build: Callable[[Any, Any, Any], Any], tmp_path: Path) -> None:
    q, k, v = _normal(2, 3, 5, 4), _normal(2, 3, 7, 4), _normal(2, 3, 7, 6)
    operations = _compare(save_program(tmp_path / "a.mlpackage", build, q, k, v), q, k, v)
    assert operations["scaled_dot_product_attention"] == 1
    assert not operations.keys() & {"matmul", "softmax", "mul", "add"}


def test_a_softmax_over_other_axes_is_no_attention(tmp_path: Path) -> None:
    q, k, v = _normal(2, 3, 5, 4), _normal(2, 3, 5, 4), _normal(2, 3, 5, 4)

    def build(q: Any, k: Any, v: Any) -> Any:
        return mb.matmul(x=mb.softmax(x=mb.matmul(x=q, y=k, transpose_y=True), axis=2), y=v)

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, q, k, v), q, k, v)
    assert operations == {"matmul": 2, "softmax": 1}


def _split_einsum(q: Any, k: Any, v: Any) -> Any:
    """One head as Apple's SPLIT_EINSUM has it: (n, d, 1, tokens)."""
    keys = mb.mul(x=mb.transpose(x=k, perm=[0, 3, 2, 1]), y=0.3)
    scores = mb.mul(x=mb.einsum(values=[keys, q], equation="bkhc,bchq->bkhq"), y=0.7)
    return mb.einsum(values=[v, mb.softmax(x=scores, axis=1)], equation="bchk,bkhq->bchq")


@pytest.mark.parametrize("tokens", [7, 300])
def test_a_head_of_split_einsum(tokens: int, tmp_path: Path) -> None:
    q, k, v = _normal(2, 4, 1, 600), _normal(2, 4, 1, tokens), _normal(2, 6, 1, tokens)
    operations = _compare(save_program(tmp_path / "a.mlpackage", _split_einsum, q, k, v), q, k, v)
    assert operations == {"transpose": 1, "mul": 1, "scaled_dot_product_attention": 1}


def _heads(q: Any, k: Any, v: Any) -> Any:
    """Three heads as Apple's SPLIT_EINSUM has them, joined along the channels."""
    keys = mb.transpose(x=k, perm=[0, 3, 2, 1])
    parts = zip(
        mb.split(x=q, num_splits=3, axis=1),
        mb.split(x=keys, num_splits=3, axis=3),
        mb.split(x=v, num_splits=3, axis=1),
        strict=True,
    )
    return [_head(*part) for part in parts]


def _head(q: Any, k: Any, v: Any) -> Any:
    scores = mb.mul(x=mb.einsum(values=[k, q], equation="bkhc,bchq->bkhq"), y=0.7)
    return mb.einsum(values=[v, mb.softmax(x=scores, axis=1)], equation="bchk,bkhq->bchq")


@pytest.mark.parametrize("tokens", [7, 300])
def test_heads_that_are_joined_are_one_attention(tokens: int, tmp_path: Path) -> None:
    q, k, v = _normal(2, 12, 1, 600), _normal(2, 12, 1, tokens), _normal(2, 18, 1, tokens)

    def build(q: Any, k: Any, v: Any) -> Any:
        return mb.concat(values=_heads(q, k, v), axis=1)

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, q, k, v), q, k, v)
    assert operations == {"transpose": 1, "scaled_dot_product_attention": 1}


def test_heads_in_another_order_stay_apart(tmp_path: Path) -> None:
    q, k, v = _normal(2, 12, 1, 5), _normal(2, 12, 1, 7), _normal(2, 18, 1, 7)

    def build(q: Any, k: Any, v: Any) -> Any:
        first, second, third = _heads(q, k, v)
        return mb.concat(values=[first, third, second], axis=1)

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, q, k, v), q, k, v)
    assert operations["scaled_dot_product_attention"] == 3


def test_an_einsum_of_other_axes_is_no_attention(tmp_path: Path) -> None:
    q, k, v = _normal(2, 4, 1, 5), _normal(2, 5, 1, 4), _normal(2, 4, 1, 5)

    def build(q: Any, k: Any, v: Any) -> Any:
        weights = mb.softmax(x=mb.einsum(values=[k, q], equation="bkhc,bchq->bkhq"), axis=3)
        return mb.einsum(values=[v, weights], equation="bchk,bkhq->bchq")

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, q, k, v), q, k, v)
    assert operations == {"einsum": 2, "softmax": 1}


def _activations() -> dict[str, Callable[[Any], Any]]:
    return {
        "relu": lambda x: mb.relu(x=x),
        "silu": lambda x: mb.mul(x=x, y=mb.sigmoid(x=x)),
        "gelu": lambda x: mb.gelu(x=x, mode="EXACT"),
    }


@pytest.mark.parametrize("activation", _activations())
def test_an_activation_joins_the_layer_before_it(activation: str, tmp_path: Path) -> None:
    x, weight, matrix = _normal(2, 6, 5, 4), _normal(3, 6, 3, 3), _normal(5, 4)
    activate = _activations()[activation]

    def build(x: Any) -> Any:
        convolved = activate(mb.conv(x=x, weight=weight, bias=_BIAS, pad_type="same"))
        return activate(mb.linear(x=convolved, weight=matrix))

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, x), x)
    assert operations == {"conv": 1, "linear": 1}


_BIAS = np.array([0.5, -1, 2], np.float32)


def test_a_layer_that_others_read_keeps_its_activation_apart(tmp_path: Path) -> None:
    x, matrix = _normal(2, 4), _normal(5, 4)

    def build(x: Any) -> Any:
        projected = mb.linear(x=x, weight=matrix)
        return mb.add(x=projected, y=mb.relu(x=projected))

    operations = _compare(save_program(tmp_path / "a.mlpackage", build, x), x)
    assert operations == {"linear": 1, "relu": 1, "add": 1}


def test_a_gelu_that_is_only_near_stays_apart(tmp_path: Path) -> None:
    x, matrix = _normal(2, 4), _normal(5, 4)

    def build(x: Any) -> Any:
        return mb.gelu(x=mb.linear(x=x, weight=matrix), mode="TANH_APPROXIMATION")

    assert _compare(save_program(tmp_path / "a.mlpackage", build, x), x) == {"linear": 1, "gelu": 1}
