"""A network of one convolution and one layer, its weights in every encoding that coremltools writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import torch
from torch import Tensor, nn

Encode = Callable[[Any], Any]
"""A coremltools model to one whose weights are encoded."""


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 32, 3, padding=1)
        self.linear = nn.Linear(64, 48)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(self.conv(x).relu().flatten(2)).square()
        return result


@cache
def convert_small(target: str) -> Any:
    """The uncompressed model for a target, made once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        module = _Small().eval()
    return ct.convert(
        torch.jit.trace(module, torch.zeros(1, 8, 8, 8)),  # type: ignore[no-untyped-call]
        inputs=[ct.TensorType(name="x", shape=(1, 8, 8, 8), dtype=np.float32)],
        outputs=[ct.TensorType(name="y", dtype=np.float32)],
        minimum_deployment_target=getattr(ct.target, target),
        skip_model_load=True,
    )


def _palettized(**settings: Any) -> Encode:
    config = cto.OptimizationConfig(
        global_config=cto.OpPalettizerConfig(**{"mode": "uniform", "weight_threshold": 100, **settings})
    )
    return lambda model: cto.palettize_weights(model, config)


def _linear(**settings: Any) -> Encode:
    config = cto.OptimizationConfig(
        global_config=cto.OpLinearQuantizerConfig(**{"weight_threshold": 100, **settings})
    )
    return lambda model: cto.linear_quantize_weights(model, config)


def _pruned(model: Any) -> Any:
    config = cto.OptimizationConfig(
        global_config=cto.OpMagnitudePrunerConfig(target_sparsity=0.7, weight_threshold=100)
    )
    return cto.prune_weights(model, config)


def _joint(model: Any) -> Any:
    palettized = _palettized(mode="kmeans", nbits=4)(model)
    config = cto.OptimizationConfig(
        global_config=cto.OpLinearQuantizerConfig(granularity="per_tensor", weight_threshold=100)
    )
    return cto.linear_quantize_weights(palettized, config, joint_compression=True)


def _sparse_then(compress: Callable[..., Any], config: Any) -> Encode:
    """Compress what pruning has left; zeros stay zeros."""
    config = cto.OptimizationConfig(global_config=config)
    return lambda model: compress(_pruned(model), config, joint_compression=True)


_OLD: Mapping[str, Encode] = {
    **{f"palette-{bits}": _palettized(nbits=bits) for bits in (1, 2, 4, 6, 8)},
    "palette-kmeans": _palettized(mode="kmeans", nbits=4),
    "int8-symmetric": _linear(mode="linear_symmetric"),
    "int8-affine": _linear(mode="linear", dtype="uint8"),
    "sparse": _pruned,
}
_NEW: Mapping[str, Encode] = {
    **{f"palette-{bits}": _palettized(nbits=bits) for bits in (1, 2, 3, 4, 6, 8)},
    "palette-grouped": _palettized(
        mode="kmeans", nbits=3, granularity="per_grouped_channel", group_size=8, channel_axis=0
    ),
    "palette-vectors": _palettized(mode="kmeans", nbits=4, cluster_dim=4),
    "palette-scaled": _palettized(mode="kmeans", nbits=4, enable_per_channel_scale=True),
    "palette-int8-table": _joint,
    "int8-symmetric": _linear(mode="linear_symmetric"),
    "int8-affine": _linear(mode="linear", dtype="uint8"),
    "int4-blocks": _linear(dtype="int4", granularity="per_block", block_size=8),
    "uint4-blocks-affine": _linear(mode="linear", dtype="uint4", granularity="per_block", block_size=4),
    "sparse": _pruned,
    "sparse-palette": _sparse_then(
        cto.palettize_weights, cto.OpPalettizerConfig(mode="kmeans", nbits=4, weight_threshold=100)
    ),
    "sparse-int8": _sparse_then(
        cto.linear_quantize_weights,
        cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=100),
    ),
}

ENCODINGS: Mapping[str, Mapping[str, Encode]] = {"macOS13": _OLD, "macOS15": _NEW}
"""By target, then by a name for it."""
