"""CLIP's vocabulary in a checkpoint: two files in older folders, one ``tokenizer.json`` in newer ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdtui.bundle.bundle import MERGES_FILE, VOCABULARY_FILE
from sdtui.convert.source import ConversionError

BOS, EOS = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True)
class ClipWords:
    """``vocabulary`` and ``merges`` as vocab.json and merges.txt hold them; ids of the special tokens.

    ``pad_token`` fills a prompt up; Stable Diffusion 2 and SDXL's second encoder have their own.
    """

    vocabulary: str
    merges: str
    bos: int
    eos: int
    pad: int
    pad_token: str


def clip_words(folder: Path) -> ClipWords:
    """Read the tokenizer in ``folder``. Raises :class:`ConversionError`."""
    try:
        vocabulary, merges = _files(folder)
        ids: dict[str, int] = json.loads(vocabulary)
        pad_token = _pad_token(folder)
        return ClipWords(vocabulary, merges, ids[BOS], ids[EOS], ids[pad_token], pad_token)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(
            f"the tokenizer {folder} cannot be read",
            f"{type(error).__name__}: {error}",
            "give a folder with vocab.json and merges.txt, or tokenizer.json",
        ) from error


def _files(folder: Path) -> tuple[str, str]:
    if (folder / VOCABULARY_FILE).exists():
        texts = ((folder / file).read_text(encoding="utf-8") for file in (VOCABULARY_FILE, MERGES_FILE))
        vocabulary, merges = texts
        return vocabulary, merges
    model: Any = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    return json.dumps(model["vocab"]), "\n".join(["#version: 0.2", *pairs]) + "\n"


def _pad_token(folder: Path) -> str:
    config = folder / "tokenizer_config.json"
    settings = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    pad = settings.get("pad_token") or EOS
    return str(pad["content"] if isinstance(pad, dict) else pad)
