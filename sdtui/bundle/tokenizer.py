"""Text to tokens, with a bundle's own vocabulary. Light: the interface counts tokens with it."""

from __future__ import annotations

from dataclasses import dataclass

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers.models import BPE

from sdtui.bundle.bundle import MERGES_FILE, VOCABULARY_FILE, Bundle, BundleError

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


class Tokenizer:
    """CLIP's byte-pair encoding (OpenAI, 2021): equal to transformers' CLIPTokenizer, without its import.

    Raises :class:`BundleError` when the bundle's vocabulary cannot be used.
    """

    def __init__(self, bundle: Bundle) -> None:
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
        pad = bundle.manifest.pad_token
        start, end, padding = map(self._backend.token_to_id, (_START, _END, pad))
        if start is None or end is None or padding is None:
            raise BundleError(
                f"the tokenizer of {bundle.name} cannot be used",
                f"its vocabulary lacks {_START}, {_END} or {pad}",
                "get or convert the model again",
            )
        self._start, self._end, self._pad = start, end, padding
        self._backend.add_special_tokens([_START, _END, pad])
        self._length = bundle.manifest.token_length

    def encode(self, text: str) -> Tokens:
        """The tokens of ``text``, framed, cut and padded to the model's length."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        limit = self._length - 2
        ids = [self._start, *encoding.ids[:limit], self._end]
        ids += [self._pad] * (self._length - len(ids))
        count = len(encoding.ids)
        dropped = text[encoding.offsets[limit][0] :] if count > limit else ""
        return Tokens(tuple(ids), count, limit, dropped)
