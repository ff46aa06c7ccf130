"""What turns the embeddings of Apple's multilingual language model into those of CLIP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sdtui.convert.source import ConversionError, Source
from sdtui.files import reason

TOKENS = 256


def text_projection(file: Path) -> Source:
    """A linear layer in a ``.safetensors`` file: one weight (O, I), I = 512, and maybe one bias (O,).

    ``nlcontextualembeddings_output`` (1, 256, I) -> ``encoder_hidden_states`` (1, O, 1, 256). Raises
    :class:`ConversionError`.
    """
    layer = _read(file)
    embeddings = np.random.default_rng(0).standard_normal((1, TOKENS, layer.in_features), np.float32)
    probe = {"nlcontextualembeddings_output": embeddings}
    return Source("text_projection", _Projection(layer), (probe,), ("encoder_hidden_states",))


def _read(file: Path) -> nn.Linear:
    try:
        tensors = load_file(file)
    except OSError as error:
        raise _refused(file, reason(error)) from error
    except SafetensorError as error:
        raise _refused(file, str(error)) from error
    weights = [tensor for tensor in tensors.values() if tensor.dim() == 2]
    biases = [tensor for tensor in tensors.values() if tensor.dim() == 1]
    if len(weights) != 1 or len(biases) > 1 or len(tensors) != len(weights) + len(biases):
        raise _refused(file, "it does not hold one linear layer")
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        raise _refused(file, "its numbers are integers")
    if biases and len(biases[0]) != len(weights[0]):
        raise _refused(file, f"{len(biases[0])} biases do not go with {len(weights[0])} outputs")
    outputs, inputs = weights[0].shape
    layer = nn.Linear(inputs, outputs, bias=bool(biases), device="meta")
    layer.weight = nn.Parameter(weights[0], requires_grad=False)
    if biases:
        layer.bias = nn.Parameter(biases[0], requires_grad=False)
    return layer


def _refused(file: Path, why: str) -> ConversionError:
    return ConversionError(
        f"{file} cannot be converted", why, "give a file with one weight and one bias, as .safetensors"
    )


class _Projection(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, embeddings: Tensor) -> tuple[Tensor]:
        return (self.layer(embeddings).transpose(1, 2).unsqueeze(2),)
