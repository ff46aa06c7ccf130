"""How a UNet attends: as diffusers wrote it, or in the layout that the Neural Engine is built for.

There, an activation is (B, C, 1, S): channels second, the S pixels or tokens last; a linear layer is a
1x1 convolution; and heads are attended one by one, so that no tensor holds all of them at once. The
layout and the equations are Apple's ("Deploying Transformers on the Apple Neural Engine", 2022).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import Attention as DiffusersAttention
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional

from sdtui.conversion import Attention
from sdtui.convert.channel_norm import channel_layer_norm, register_conversion
from sdtui.convert.sharing import sharing_weights
from sdtui.convert.source import ConversionError

QUERY_BLOCK = 512
"""How many queries of a head SPLIT_EINSUM_V2 attends at once."""


def rearrange(module: nn.Module, implementation: Attention) -> nn.Module:
    """A UNet2DConditionModel or ControlNetModel with this attention; it takes and answers the same.

    ORIGINAL is the module itself. For the other two it is a copy whose spatial transformers are
    replaced; the weights keep their names and are the very tensors of ``module``, or views of them
    where a linear layer's (O, I) becomes (O, I, 1, 1). Raises :class:`ConversionError` for layers that
    have no such form.
    """
    if implementation == "ORIGINAL":
        return module
    register_conversion()
    module = sharing_weights(module)
    block = QUERY_BLOCK if implementation == "SPLIT_EINSUM_V2" else None
    found = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, Transformer2DModel)
    ]
    _refuse_other_attention(module, [transformer for _, _, transformer in found], implementation)
    for parent, name, transformer in found:
        parent.register_module(name, SpatialTransformer(transformer, block))
    return module


class SpatialTransformer(nn.Module):
    """A diffusers Transformer2DModel over pixels (B, C, H, W) and tokens (B, T, D), rearranged."""

    def __init__(self, original: Transformer2DModel, query_block: int | None) -> None:
        super().__init__()
        if not original.is_input_continuous:
            raise _unsupported("a transformer over patches or numbered vectors")
        self.norm = original.norm
        self.proj_in = _pointwise(original.proj_in)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(block, query_block) for block in original.transformer_blocks
        )
        self.proj_out = _pointwise(original.proj_out)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor]:
        """As diffusers calls it, without masks: Core ML pipelines give none."""
        if attention_mask is not None or encoder_attention_mask is not None:
            raise _unsupported("attention masks")
        height, width = hidden_states.shape[2:]
        words = encoder_hidden_states.transpose(1, 2).unsqueeze(2)
        x = self.proj_in(self.norm(hidden_states)).flatten(2).unsqueeze(2)
        for block in self.transformer_blocks:
            x = block(x, words)
        return (hidden_states + self.proj_out(x.reshape(*x.shape[:2], height, width)),)


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward of x (B, C, 1, S), each normed and added."""

    def __init__(self, original: BasicTransformerBlock, query_block: int | None) -> None:
        super().__init__()
        _refuse_block(original)
        self.only_cross_attention = bool(original.only_cross_attention)
        self.norm1 = ChannelLayerNorm(original.norm1)
        self.attn1 = SplitAttention(original.attn1, query_block)
        self.attn2: SplitAttention | None = None
        if original.attn2 is not None:
            self.norm2 = ChannelLayerNorm(original.norm2)
            self.attn2 = SplitAttention(original.attn2, query_block)
        self.norm3 = ChannelLayerNorm(original.norm3)
        self.ff = GatedFeedForward(original.ff)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, words if self.only_cross_attention else normed)
        if self.attn2 is not None:
            x = x + self.attn2(self.norm2(x), words)
        fed: Tensor = self.ff(self.norm3(x))
        return x + fed


class SplitAttention(nn.Module):
    """Attention of x (B, C, 1, Q) to context (B, D, 1, K), head by head and block by block of queries."""

    def __init__(self, original: DiffusersAttention, query_block: int | None) -> None:
        super().__init__()
        _refuse_attention(original)
        self.head_size = original.inner_dim // original.heads
        self.scale = float(original.scale)
        self.query_block = query_block
        self.to_q, self.to_k, self.to_v = map(_pointwise, (original.to_q, original.to_k, original.to_v))
        self.to_out = nn.ModuleList([_pointwise(original.to_out[0])])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        # The scale goes to the keys: there are fewer of them than scores, and no score arises that
        # float16 could hold only after it is scaled. Behind the transposition coremltools leaves it
        # there; before, it would be multiplied into the weight, which then is no longer the checkpoint's.
        queries = self.to_q(x).split(self.head_size, 1)
        keys = (self.to_k(context).transpose(1, 3) * self.scale).split(self.head_size, 3)
        values = self.to_v(context).split(self.head_size, 1)
        heads = [self._head(*head) for head in zip(queries, keys, values, strict=True)]
        attended: Tensor = self.to_out[0](torch.cat(heads, 1))
        return attended

    def _head(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query (B, d, 1, Q), key (B, K, 1, d), value (B, d, 1, K) -> (B, d, 1, Q)."""
        if self.query_block is None or query.shape[3] <= self.query_block:
            return _attend(query, key, value)
        blocks = torch.split(query, self.query_block, 3)
        return torch.cat([_attend(block, key, value) for block in blocks], 3)


class GatedFeedForward(nn.Module):
    """A diffusers FeedForward with GEGLU, over the channels."""

    def __init__(self, original: FeedForward) -> None:
        super().__init__()
        gate, _, back = original.net
        self.net = nn.ModuleList([GatedUnit(gate), nn.Identity(), _pointwise(back)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x


class GatedUnit(nn.Module):
    """The first half of the projected channels, times gelu of the second."""

    def __init__(self, original: GEGLU) -> None:
        super().__init__()
        self.proj = _pointwise(original.proj)

    def forward(self, x: Tensor) -> Tensor:
        linear, gate = torch.chunk(self.proj(x), 2, 1)
        return linear * functional.gelu(gate)


class ChannelLayerNorm(nn.Module):
    """A layer norm over the channels instead of the last axis."""

    def __init__(self, original: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.epsilon = original.weight, original.bias, original.eps

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = channel_layer_norm(x, self.weight, self.bias, self.epsilon)
        return normed


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = torch.einsum("bchq,bkhc->bkhq", query, key).softmax(1)
    return torch.einsum("bkhq,bchk->bchq", weights, value)


def _pointwise(layer: nn.Module) -> nn.Conv2d:
    """A linear layer as a 1x1 convolution over a view of its weight; a convolution as it is."""
    if type(layer) is nn.Conv2d:
        return layer
    if type(layer) is not nn.Linear:
        raise _unsupported(f"a {type(layer).__name__} in place of a linear layer")
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, bias=layer.bias is not None, device="meta")
    conv.weight = nn.Parameter(layer.weight.detach()[:, :, None, None], requires_grad=False)
    conv.bias = layer.bias
    return conv


def _refuse_block(block: BasicTransformerBlock) -> None:
    if block.norm_type != "layer_norm" or block.pos_embed is not None or hasattr(block, "fuser"):
        raise _unsupported("a transformer block with another norm, positions or gates")
    if type(block.ff.net[0]) is not GEGLU:
        raise _unsupported(f"the activation {type(block.ff.net[0]).__name__}")


def _refuse_attention(attention: DiffusersAttention) -> None:
    extras = ("norm_q", "norm_k", "group_norm", "spatial_norm", "norm_cross", "added_kv_proj_dim")
    present = [name for name in extras if getattr(attention, name) is not None]
    if type(attention.processor) not in (AttnProcessor, AttnProcessor2_0):
        present.append(type(attention.processor).__name__)
    if attention.inner_kv_dim != attention.inner_dim:
        present.append("fewer heads for keys than for queries")
    if attention.residual_connection or attention.rescale_output_factor != 1 or attention.is_causal:
        present.append("a residual, rescaled or causal attention")
    if present:
        raise _unsupported(f"attention with {', '.join(present)}")


def _refuse_other_attention(
    module: nn.Module, transformers: list[Transformer2DModel], implementation: Attention
) -> None:
    """Attention outside of spatial transformers would stay as it is, silently."""
    known = {id(child) for transformer in transformers for child in transformer.modules()}
    if any(isinstance(child, DiffusersAttention) and id(child) not in known for child in module.modules()):
        raise _unsupported(f"attention outside of a spatial transformer, which {implementation} leaves out")


def _unsupported(what: str) -> ConversionError:
    return ConversionError(
        "the attention cannot be rearranged", f"the network has {what}", "convert it with ORIGINAL attention"
    )
