"""Attention: in torch's own kernel, or on a processor in blocks that its product library is fast at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sdtui.runtime.portable import onednn
from sdtui.runtime.portable.ops.registry import operation

_MANY_KEYS = 256
"""From here on blocks are faster than torch's kernel (80 channels a head: 17 ms against 28 ms for
1024 x 1024, two cores, AVX-512); below, calling them costs more than they gain."""
_QUERIES = 512


@operation("scaled_dot_product_attention", multiplies=True)
def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *,
    scale: float | None = None,
    query_axes: tuple[int, ...] = (),
    key_axes: tuple[int, ...] = (),
    value_axes: tuple[int, ...] = (),
    result_axes: tuple[int, ...] = (),
    heads: int = 1,
) -> Tensor:
    """Attention over (..., L, E); the scale is 1 / sqrt(E) unless given. A bool mask keeps what is True.

    Not in MIL, but set by fusion, are the scale, the axes, which bring each argument into that order
    and the result out of it, and ``heads``: so many lie behind one another in (N, 1, L, heads E).
    """
    query, key, value = _moved(query, query_axes), _moved(key, key_axes), _moved(value, value_axes)
    if heads > 1:
        query, key, value = (_parted(each, heads) for each in (query, key, value))
    if attn_mask is None and _blocks_are_faster(query, key):
        result = _in_blocks(query, key, value, query.shape[-1] ** -0.5 if scale is None else scale)
    else:
        result = F.scaled_dot_product_attention(query, key, value, attn_mask, scale=scale)
    if heads > 1:
        result = result.transpose(1, 2).flatten(2).unsqueeze(1)
    return _moved(result, result_axes)


def _parted(x: Tensor, heads: int) -> Tensor:
    """(N, 1, L, heads E) as (N, heads, L, E)."""
    samples, _, rows, channels = x.shape
    return x.reshape(samples, rows, heads, channels // heads).transpose(1, 2)


def _moved(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x.permute(axes) if axes else x


def _blocks_are_faster(query: Tensor, key: Tensor) -> bool:
    many = query.dim() == 4 and key.shape[-2] >= _MANY_KEYS
    return many and query.device.type == "cpu" and onednn.available(torch.float32)


def _in_blocks(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """softmax(query key^T scale) value for (B, H, L, E), a block of queries of one head at a time.

    Scores and their softmax are fp32 in every precision: bf16 has no digits for a score of 20, and
    the products are not what takes the time.
    """
    samples, heads, queries, _ = query.shape
    result = query.new_empty(samples, queries, heads, value.shape[-1])
    weights = torch.empty(min(_QUERIES, queries), key.shape[-2])
    for sample in range(samples):
        for head in range(heads):
            scaled = query[sample, head].float() * scale
            keys = key[sample, head].float().contiguous()
            values = value[sample, head].float().mT.contiguous()
            for start in range(0, queries, _QUERIES):
                block = scaled[start : start + _QUERIES]
                softmax = weights[: len(block)]
                torch.softmax(onednn.product(block, keys), -1, out=softmax)
                result[sample, start : start + _QUERIES, head] = onednn.product(softmax, values)
    return result.transpose(1, 2)
