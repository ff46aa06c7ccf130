"""CLIP's vocabulary, for models that come without one. Light.

Core ML packages and single-file checkpoints often do, and nearly all of them mean this one: OpenAI's
for ViT-L/14, which OpenCLIP shares. It is kept as its merges alone; the rest follows from them.
"""

from __future__ import annotations

import bz2
import json
from pathlib import Path

from sdtui.bundle.bundle import MERGES_FILE, VOCABULARY_FILE

VOCABULARY_SIZE = 49_408
_MERGES = Path(__file__).with_name("merges.txt.bz2")


def write_clip_tokenizer(folder: Path) -> None:
    """Write vocab.json and merges.txt as ``openai/clip-vit-large-patch14`` has them. Raises OSError."""
    merges = bz2.decompress(_MERGES.read_bytes())
    _, *pairs = merges.decode().splitlines()
    alphabet = _alphabet()
    tokens = [
        *alphabet,
        *(letter + "</w>" for letter in alphabet),
        *(pair.replace(" ", "") for pair in pairs),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / VOCABULARY_FILE).write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / MERGES_FILE).write_bytes(merges)


def _alphabet() -> list[str]:
    """A letter for each of the 256 bytes, as GPT-2's byte-level encoding orders them (Radford, 2019).

    Bytes that are printable in Latin-1 stand for themselves and come first; the others follow, as the
    letters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + index) for index in range(256 - len(printable))]
