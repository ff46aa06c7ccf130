"""Text to tokens, with a bundle's own vocabulary. Light: the interface counts tokens with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
import tokenizers
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers
from tokenizers.models import BPE

from sdtui.bundle.bundle import ADDED_TOKENS_FILE, MERGES_FILE, VOCABULARY_FILE, Bundle, BundleError
from sdtui.bundle.manifest import NetworkRole

_START = "<|startoftext|>"
_END = "<|endoftext|>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True)
class Tokens:
    """A prompt as the text encoder takes it.

    ``ids`` holds start, as many of the text's tokens as fit, end, and padding: always the model's
    token length. ``count`` is the text's own tokens, ``limit`` how many of them fit, and ``dropped``
    the end of the text that did not.
    """

    ids: tuple[int, ...]
    count: int
    limit: int
    dropped: str


@dataclass(frozen=True)
class Token:
    """A token's number, and where in the text its word begins."""

    id: int
    start: int


@dataclass(frozen=True)
class Frame:
    """What surrounds a text's tokens, so that they are ``length`` in all."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    padding: int
    length: int

    @property
    def limit(self) -> int:
        """How many tokens of a text fit."""
        return self.length - len(self.prefix) - len(self.suffix)

    def around(self, ids: Iterable[int]) -> tuple[int, ...]:
        """At most ``limit`` numbers, framed and padded."""
        framed = (*self.prefix, *ids, *self.suffix)
        return framed + (self.padding,) * (self.length - len(framed))


class TextTokenizer(Protocol):
    """Text to the numbers that one text encoder reads, and what belongs around them."""

    @property
    def frame(self) -> Frame: ...

    def tokens(self, text: str) -> list[Token]:
        """The tokens of ``text`` alone, however many."""


class Tokenizer:
    """CLIP's byte-pair encoding (OpenAI, 2021): equal to transformers' CLIPTokenizer, without its import.

    ``encoder`` is the network that reads the tokens: the second one is padded in its own way. A token
    that was added for a textual inversion stands for all its vectors, as diffusers'
    ``maybe_convert_prompt`` has it: ``<cat>`` for ``<cat>``, ``<cat>_1``, ``<cat>_2``.
    Raises :class:`BundleError` when the bundle's vocabulary cannot be used.
    """

    def __init__(self, bundle: Bundle, encoder: NetworkRole = "text_encoder") -> None:
        files = bundle.path / VOCABULARY_FILE, bundle.path / MERGES_FILE
        try:
            bpe = BPE.from_file(*map(str, files), unk_token=_END, end_of_word_suffix="</w>")
        except Exception as error:  # tokenizers raises nothing narrower
            raise BundleError(
                f"the tokenizer of {bundle.name} cannot be read", str(error), "get or convert the model again"
            ) from error
        self._backend = tokenizers.Tokenizer(bpe)
        self._backend.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self._backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        second = encoder == "text_encoder_2"
        pad = bundle.manifest.pad_token_2 if second else bundle.manifest.pad_token
        start, end, padding = map(self._backend.token_to_id, (_START, _END, pad))
        if start is None or end is None or padding is None:
            raise _unusable(bundle, f"its vocabulary lacks {_START}, {_END} or {pad}")
        self.frame = Frame((start,), (end,), padding, bundle.manifest.token_length)
        self._backend.add_special_tokens([_START, _END, pad])
        self._vectors = self._add(bundle, _added_tokens(bundle))

    def tokens(self, text: str) -> list[Token]:
        """The tokens of ``text`` alone, however many."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return [
            Token(vector, start)
            for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
            for vector in self._vectors.get(token, (token,))
        ]

    def encode(self, text: str) -> Tokens:
        """The tokens of ``text``, framed, cut and padded to the model's length."""
        tokens = self.tokens(text)
        limit = self.frame.limit
        ids = self.frame.around(token.id for token in tokens[:limit])
        dropped = text[tokens[limit].start :] if len(tokens) > limit else ""
        return Tokens(ids, len(tokens), limit, dropped)

    def _add(self, bundle: Bundle, added: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
        """Teach the backend the ``added`` tokens; returns those that stand for several, by their ids."""
        for token, identity in sorted(added.items(), key=lambda item: item[1]):
            self._backend.add_tokens([AddedToken(token)])
            if self._backend.token_to_id(token) != identity:
                raise _unusable(bundle, f"{ADDED_TOKENS_FILE} gives {token} a number out of turn")
        return {added[token]: series for token in added if len(series := _series(token, added)) > 1}


def _series(token: str, added: Mapping[str, int]) -> tuple[int, ...]:
    """The numbers of ``token``, ``token_1``, ``token_2`` and so on, as far as there are such tokens."""
    names = itertools.chain([token], (f"{token}_{number}" for number in itertools.count(1)))
    return tuple(added[name] for name in itertools.takewhile(added.__contains__, names))


def _added_tokens(bundle: Bundle) -> dict[str, int]:
    """What ``added_tokens.json`` holds; nothing where there is none."""
    try:
        content = (bundle.path / ADDED_TOKENS_FILE).read_bytes()
        return msgspec.json.decode(content, type=dict[str, int])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unusable(bundle, f"{ADDED_TOKENS_FILE}: {error}") from error


def _unusable(bundle: Bundle, why: str) -> BundleError:
    return BundleError(
        f"the tokenizer of {bundle.name} cannot be used", why, "get or convert the model again"
    )
