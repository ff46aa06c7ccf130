"""A torch module as a Core ML network will be made from it: its inputs, its outputs, its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from sdtui.bundle.manifest import NetworkRole
from sdtui.convert.float32 import Float32Arithmetic
from sdtui.errors import SdtuiError
from sdtui.runtime import Array

PROBED_TIMESTEPS = (1, 100, 801, 999)
"""Where a UNet's accuracy is measured: a float16 timestep embedding fails at the late ones first."""


class ConversionError(SdtuiError):
    """A network or a model cannot be converted."""


def _nothing() -> None:
    """There is nothing to give back."""


@dataclass(frozen=True)
class Source:
    """A torch module as it will be traced.

    ``module`` takes the tensors of ``probes[i]`` in their order and returns a tuple as long as
    ``outputs``; its weights may have any float dtype. Every probe is a set of float32 inputs that
    accuracy is measured with; the first one is traced. ``needs_fp32`` says that float16 cannot hold
    what the module computes, whatever precision is asked for. ``release`` gives back the memory of
    weights that were read, where they are mapped from a file.
    """

    role: NetworkRole
    module: nn.Module
    probes: tuple[Mapping[str, Array], ...]
    outputs: tuple[str, ...]
    needs_fp32: bool = False
    release: Callable[[], None] = _nothing

    def __post_init__(self) -> None:
        self.module.eval()

    @property
    def name(self) -> str:
        """The role as people read it."""
        return self.role.replace("_", " ")

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What the torch module answers in float32: the reference for the converted network."""
        with torch.no_grad(), Float32Arithmetic(self.release):
            outputs = self.module(*(torch.from_numpy(array) for array in inputs.values()))
        return {name: output.numpy() for name, output in zip(self.outputs, outputs, strict=True)}
