"""A module to change without changing the one that was given, and without a second set of weights."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def sharing_weights(module: Module) -> Module:
    """A copy of ``module`` down to its leaves, whose parameters and buffers are the very same tensors."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
