"""T5's tokenizer, from the ``tokenizer.json`` of a bundle. Light."""

from __future__ import annotations

import msgspec
import tokenizers

from sdtui.bundle.bundle import T5_CONFIG_FILE, T5_TOKENIZER_FILE, Bundle, BundleError
from sdtui.bundle.tokenizer import Frame, Token


class T5Tokenizer:
    """Pieces of words (SentencePiece; Kudo, 2018): equal to transformers' T5Tokenizer, without its import.

    ``length`` is how many tokens the text encoder reads. Raises :class:`BundleError` when the bundle's
    file cannot be used.
    """

    def __init__(self, bundle: Bundle, length: int) -> None:
        try:
            self._backend = tokenizers.Tokenizer.from_file(str(bundle.path / T5_TOKENIZER_FILE))
        except Exception as error:  # tokenizers raises nothing narrower
            raise _unusable(bundle, str(error)) from error
        self._backend.no_truncation()
        self._backend.no_padding()
        named = _named(bundle)
        end, padding = map(self._backend.token_to_id, (named.eos_token, named.pad_token))
        if end is None or padding is None:
            raise _unusable(bundle, f"it lacks {named.eos_token} or {named.pad_token}")
        self.frame = Frame((), (end,), padding, length)

    def tokens(self, text: str) -> list[Token]:
        """The tokens of ``text`` alone, however many."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return [Token(token, start) for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)]


class _Named(msgspec.Struct, frozen=True):
    """What ``tokenizer_config.json`` calls the tokens around a text."""

    eos_token: str = "</s>"
    pad_token: str = "<pad>"


def _named(bundle: Bundle) -> _Named:
    """The names in the bundle, or T5's where it says nothing: some settings beside it are CLIP's."""
    try:
        return msgspec.json.decode((bundle.path / T5_CONFIG_FILE).read_bytes(), type=_Named)
    except (OSError, ValueError):
        return _Named()


def _unusable(bundle: Bundle, why: str) -> BundleError:
    return BundleError(
        f"the T5 tokenizer of {bundle.name} cannot be used", why, "get or convert the model again"
    )
