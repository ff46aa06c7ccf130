"""Learned positions, of which a network of fixed size always adds the same ones.

As their modules look them up, a converter would compute with the weights, which it must not read.
"""

from __future__ import annotations

from torch import Tensor, nn


class FirstRows(nn.Module):
    """The first rows of an embedding, whatever indices are asked for."""

    def __init__(self, table: nn.Embedding, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(table.weight.detach()[:rows], requires_grad=False)

    def forward(self, _: Tensor) -> Tensor:
        return self.weight


class LookedUp(nn.Module):
    """What an embedding gave for some indices, whatever indices are asked for now."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values, persistent=False)

    def forward(self, _: Tensor) -> Tensor:
        return self.get_buffer("values")
