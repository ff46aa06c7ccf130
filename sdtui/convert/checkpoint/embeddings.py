"""Textual inversions (Gal et al., 2022): words that were learned, as vectors for the text encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sdtui.convert.checkpoint.pickled import unpickle
from sdtui.convert.checkpoint.reading import broken
from sdtui.convert.checkpoint.safetensors_file import map_tensors
from sdtui.convert.source import ConversionError

ENCODERS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
"""What files for two encoders call them."""

UNNAMED = ("emb_params", "*")
"""Names that tools give to vectors whose word is the file's name."""


@dataclass(frozen=True)
class Embedding:
    """A learned word: ``vectors`` (n, width) for each text encoder, under n names."""

    word: str
    vectors: Mapping[str, Tensor]

    @property
    def tokens(self) -> list[str]:
        """The word, and for each vector after the first the word with a number."""
        count = len(next(iter(self.vectors.values())))
        return [self.word, *(f"{self.word}_{index}" for index in range(1, count))]


def read_embedding(file: Path, widths: Mapping[str, int]) -> Embedding:
    """Read ``file`` for text encoders of these ``widths``. Raises :class:`ConversionError`.

    diffusers files hold ``{word: vectors}``, A1111's ``{"string_to_param": {"*": vectors}}``, those for
    two encoders ``{"clip_l": vectors, "clip_g": vectors}``.
    """
    tensors = read_vectors(file)
    word = file.stem
    if tensors and tensors.keys() <= ENCODERS.keys():
        vectors = {ENCODERS[name]: tensor for name, tensor in tensors.items()}
    elif len(tensors) == 1:
        [(name, tensor)] = tensors.items()
        word = word if name in UNNAMED else name
        vectors = dict.fromkeys([next(iter(widths), "text_encoder")], tensor)
    else:
        raise broken(file, "it is no textual inversion", "give another")
    vectors = {name: tensor if tensor.ndim == 2 else tensor[None] for name, tensor in vectors.items()}
    _check(file, word, vectors, widths)
    return Embedding(word, vectors)


def read_vectors(file: Path) -> dict[str, Tensor]:
    """The tensors of ``file``, whichever checkpoint it is for. Raises :class:`ConversionError`."""
    content: Any = map_tensors(file) if file.suffix == ".safetensors" else unpickle(file)
    if isinstance(content, Mapping) and isinstance(content.get("string_to_param"), Mapping):
        content = content["string_to_param"]
    if not isinstance(content, Mapping) or not all(isinstance(each, Tensor) for each in content.values()):
        raise broken(file, "it is no textual inversion", "give another")
    return {str(name): tensor.detach() for name, tensor in content.items()}


def _check(file: Path, word: str, vectors: Mapping[str, Tensor], widths: Mapping[str, int]) -> None:
    if not word.strip() or not word.isprintable():
        raise broken(file, "its word cannot be typed", "rename it")
    if vectors.keys() != widths.keys():
        raise ConversionError(
            f"{file} cannot be fused",
            f"it is for {_listed(vectors)}, and the checkpoint has {_listed(widths)}",
            "give one that was trained for this kind of model",
        )
    for name, tensor in vectors.items():
        if tensor.ndim != 2 or tensor.shape[1] != widths[name] or not 0 < tensor.shape[0] <= 75:
            raise ConversionError(
                f"{file} cannot be fused",
                f"its vectors are {tuple(tensor.shape)}, for a {name.replace('_', ' ')} of {widths[name]}",
                "give one that was trained for this kind of model",
            )
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise broken(file, "it holds numbers that are not finite", "give another")
    if len({tensor.shape[0] for tensor in vectors.values()}) != 1:
        raise broken(file, "it has more vectors for one text encoder than for the other", "give another")


def _listed(names: Mapping[str, Any]) -> str:
    return " and ".join(name.replace("_", " ") for name in sorted(names)) or "no text encoder"
