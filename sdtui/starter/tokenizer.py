"""A CLIP tokenizer of our own: byte-level pairs learnt from the words of the captions."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex as Pattern
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from sdtui.starter.captions import Grammar, phrasings
from sdtui.starter.config import BACKGROUNDS, TOKENS

START = "<|startoftext|>"
END = "<|endoftext|>"
_WORD_END = "</w>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def corpus(grammar: Grammar) -> list[str]:
    """Text in which every word of the grammar occurs, names more often than synonyms."""
    lines: list[str] = []
    for name, synonyms in zip(grammar.names, grammar.synonyms, strict=True):
        lines += [name] * 8 + list(synonyms) * 2
    return lines + [*phrasings(), *BACKGROUNDS] * 200


def train_tokenizer(lines: list[str], vocabulary: int, folder: Path) -> None:
    """Learn the merges and write ``vocab.json`` and ``merges.txt`` in CLIP's order.

    The vocabulary is the 256 bytes, the 256 bytes that end a word, one token per merge, and the two
    markers last, so that any text can be written and the markers have the highest numbers.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix=_WORD_END))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Pattern(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=vocabulary - 2,
            initial_alphabet=alphabet,
            end_of_word_suffix=_WORD_END,
            show_progress=False,
            min_frequency=2,
        ),
    )
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    merges = merges[: vocabulary - 2 * len(alphabet) - 2]
    tokens = alphabet + [byte + _WORD_END for byte in alphabet]
    tokens += ["".join(pair) for pair in merges]
    tokens = [*dict.fromkeys(tokens), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(tokens)}, ensure_ascii=False),
        encoding="utf-8",
    )
    (folder / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges), ""]), encoding="utf-8"
    )


def read_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer in a folder, as transformers reads it; it pads with the end marker."""
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=TOKENS,
    )
