"""Which tokenizer a model gets that somebody else packed: the folder's own, one that was given, or CLIP's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sdtui.bundle.bundle import (
    ADDED_TOKENS_FILE,
    MERGES_FILE,
    T5_CONFIG_FILE,
    VOCABULARY_FILE,
    BundleError,
)
from sdtui.bundle.clip import VOCABULARY_SIZE, write_clip_tokenizer
from sdtui.bundle.linking import copy_file
from sdtui.files import reason

VOCABULARY_FOLDERS = (".", "tokenizer", "Resources")
"""Where in a model folder its vocabulary may be."""


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer on disk, CLIP's own where ``folder`` is None. ``pad_token`` is None where nobody says."""

    folder: Path | None
    pad_token: str | None = None

    def write(self, target: Path) -> None:
        """Put its files into the folder ``target``. Raises OSError."""
        if self.folder is None:
            write_clip_tokenizer(target)
            return
        for name in (VOCABULARY_FILE, MERGES_FILE, ADDED_TOKENS_FILE):
            if (self.folder / name).exists():
                copy_file(self.folder / name, target / name)


def find_vocabulary(model: Path, given: Path | None, rows: int | None) -> Vocabulary:
    """The tokenizer for the networks in ``model``, whose token embedding has ``rows`` rows, if one knows.

    ``given`` goes before what the folder has. Raises :class:`BundleError` when there is none that fits.
    """
    folder = _having_vocabulary(given or model)
    if folder is None and given is not None:
        raise BundleError(
            f"the tokenizer {given} cannot be used",
            f"it has no {VOCABULARY_FILE} with {MERGES_FILE}",
            "give the folder of a CLIP tokenizer",
        )
    if folder is None:
        if rows not in (None, VOCABULARY_SIZE):
            raise BundleError(
                f"{model} cannot be imported",
                f"its text encoder knows {rows} tokens, and CLIP's vocabulary has {VOCABULARY_SIZE}",
                "give its own with --tokenizer",
            )
        return Vocabulary(None)
    tokens = read_json(folder / VOCABULARY_FILE)
    added = folder / ADDED_TOKENS_FILE
    last = max([-1, *_numbers(tokens), *(_numbers(read_json(added)) if added.exists() else ())])
    if rows is not None and last >= rows:
        raise BundleError(
            f"{model} cannot be imported",
            f"the tokenizer {folder} counts to {last}, but its text encoder knows {rows} tokens",
            "give its own with --tokenizer",
        )
    return Vocabulary(folder, _pad_token(folder, tokens))


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``. Raises :class:`BundleError`."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        why = reason(error)
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise BundleError(f"{file} cannot be read", why, "get it again, or remove it")


def _having_vocabulary(folder: Path) -> Path | None:
    places = (folder / name for name in VOCABULARY_FOLDERS)
    return next(
        (
            place
            for place in places
            if (place / VOCABULARY_FILE).is_file() and (place / MERGES_FILE).is_file()
        ),
        None,
    )


def _pad_token(folder: Path, tokens: dict[str, Any]) -> str | None:
    """What its settings pad with, unless they are another tokenizer's, as T5's are beside Apple's SD3."""
    file = folder / T5_CONFIG_FILE
    pad = read_json(file).get("pad_token") if file.exists() else None
    if isinstance(pad, dict):
        pad = pad.get("content")
    return pad if isinstance(pad, str) and pad in tokens else None


def _numbers(tokens: dict[str, Any]) -> list[int]:
    return [number for number in tokens.values() if isinstance(number, int)]
