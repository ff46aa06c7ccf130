"""Texts that people type and texts that nobody does, the same ones each time."""

from __future__ import annotations

import random

from tests.tiny import WORDS

PIECES = (
    *WORDS,
    *("Portrait", "don't", "WE'LL", "3d", "f/1.8", "35mm,", "8k!!", "(masterpiece:1.2)", "<lora:x:1>"),
    *("<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "</w>"),
    *("</s>", "<pad>", "<unk>", "<extra_id_0>", "▁", "_", "#"),
    *("naïve", "cafe\u0301", "Straße", "İstanbul", "ǅ", "ﬁne", "①", "½", "x²", "Å", "A\u030a", "ﷺ"),
    *("日本の庭", "水彩画", "한국어", "한", "कि", "ไทย", "שלום", "مرحبا", "Ελλάδα", "ς", "Москва"),
    *("🍎", "👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "👍🏽", "❤️", "☃", "🫠", "𝕬𝖗𝖙", "𓀀"),
    *("\u00a0", "\u200b", "\u200d", "\ufeff", "\u202e", "\ufe0f", "\x00", "\x1f", "\x7f", "\u2028", "\t"),
    *("\n", "…", "—", "“art”", "``", "''", "¿qué?", "€5", "\ue000", "\ufffd", "\U0010ffff"),
)  # fmt: skip


def phrases(count: int) -> list[str]:
    """Pieces with and without spaces between them, and every now and then any characters at all."""
    drawn = random.Random(0)
    return [_characters(drawn) if number % 5 == 0 else _pieces(drawn) for number in range(count)]


def _pieces(drawn: random.Random) -> str:
    return "".join(
        drawn.choice(PIECES) + drawn.choice(("", " ", " ", "  ", ", ")) for _ in range(drawn.randrange(24))
    )


def _characters(drawn: random.Random) -> str:
    planes = ((0, 0x250), (0x250, 0xD800), (0xE000, 0x10000), (0x1F000, 0x1FB00), (0x10000, 0x110000))
    return "".join(chr(drawn.randrange(*drawn.choice(planes))) for _ in range(drawn.randrange(30)))
