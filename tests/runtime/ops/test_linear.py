"""Convolutions, products and attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name

from tests.runtime.ops.single import as_torch, check, random, run


@pytest.mark.parametrize(
    ("arguments", "pads"),
    [
        ({"pad_type": "valid"}, (0, 0, 0, 0)),
        ({"pad_type": "custom", "pad": [0, 1, 2, 1]}, (2, 1, 0, 1)),
        ({"pad_type": "custom", "pad": [1, 1, 1, 1], "strides": [2, 2]}, (1, 1, 1, 1)),
        ({"pad_type": "same", "strides": [2, 2]}, (1, 1, 0, 1)),
        ({"pad_type": "same_lower", "strides": [2, 2]}, (1, 1, 1, 0)),
        ({"pad_type": "valid", "dilations": [2, 1]}, (0, 0, 0, 0)),
    ],
)
def test_conv(folder: Path, arguments: dict[str, Any], pads: tuple[int, ...]) -> None:
    x, weight, bias = random(1, 4, 8, 7), random(6, 2, 3, 3), random(6)
    (result,) = run(folder, lambda x: mb.conv(x=x, weight=weight, bias=bias, groups=2, **arguments), x)
    padded = F.pad(as_torch(x), pads)
    stride, dilation = arguments.get("strides", 1), arguments.get("dilations", 1)
    check(result, F.conv2d(padded, as_torch(weight), as_torch(bias), stride, 0, dilation, 2))


def test_conv_of_one_axis(folder: Path) -> None:
    x, weight = random(1, 3, 9), random(4, 3, 2)
    (result,) = run(folder, lambda x: mb.conv(x=x, weight=weight, pad_type="custom", pad=[0, 1]), x)
    check(result, F.conv1d(F.pad(as_torch(x), (0, 1)), as_torch(weight)))


@pytest.mark.parametrize("output_padding", [0, 1])
def test_conv_transpose(folder: Path, output_padding: int) -> None:
    x, weight, bias = random(1, 4, 5, 6), random(4, 3, 3, 3), random(3)
    expected = F.conv_transpose2d(as_torch(x), as_torch(weight), as_torch(bias), 2, 1, output_padding)
    shape = {"output_shape": list(expected.shape)} if output_padding else {}
    (result,) = run(
        folder,
        lambda x: mb.conv_transpose(
            x=x, weight=weight, bias=bias, strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1], **shape
        ),
        x,
    )
    check(result, expected)


def test_linear_and_matmul(folder: Path) -> None:
    x, weight, bias, y = random(2, 3, 4), random(5, 4), random(5), random(2, 5, 3)
    results = run(
        folder,
        lambda x, y: (
            mb.linear(x=x, weight=weight, bias=bias),
            mb.matmul(x=x, y=y, transpose_x=True, transpose_y=True),
        ),
        x,
        y,
    )
    check(results[0], x @ weight.T + bias)
    check(results[1], x.swapaxes(1, 2) @ y.swapaxes(1, 2))


def test_einsum_of_split_attention(folder: Path) -> None:
    k, q = random(2, 7, 1, 4), random(2, 4, 1, 5)
    (result,) = run(folder, lambda k, q: mb.einsum(values=(k, q), equation="bkhc,bchq->bkhq"), k, q)
    check(result, np.einsum("bkhc,bchq->bkhq", k, q))


@pytest.mark.parametrize("mask", [None, "float", "bool"])
def test_scaled_dot_product_attention(folder: Path, mask: str | None) -> None:
    q, k, v = random(2, 3, 5, 4), random(2, 3, 6, 4), random(2, 3, 6, 4)
    given = {None: None, "float": random(1, 1, 5, 6), "bool": np.tri(5, 6, dtype=bool)[None, None]}[mask]
    extra = {} if given is None else {"attn_mask": given}
    (result,) = run(
        folder,
        lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v, **extra),
        q,
        k,
        v,
        target="iOS18",
    )
    attn_mask = None if given is None else as_torch(given)
    check(result, F.scaled_dot_product_attention(as_torch(q), as_torch(k), as_torch(v), attn_mask))
