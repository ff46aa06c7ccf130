"""Recipes that others measured: the JSON of Apple's mixed-bit pre-analysis.

It holds ``recipes``: names like ``recipe_4.50_bit_mixedpalette``, each with the bits of torch modules;
16 leaves a weight as it is. Modules are found by their weights' names, which both converters keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from sdtui.compress.request import CompressionError
from sdtui.convert.encoding.encodings import Encoding, EncodingError, parse
from sdtui.files import reason


class _PreAnalysis(msgspec.Struct):
    recipes: dict[str, dict[str, int]]


def read_recipe(file: Path, name: str, weights: Iterable[str]) -> dict[str, Encoding]:
    """The encoding of each of ``weights`` that the recipe ``name`` compresses.

    Raises :class:`CompressionError` for a file or name that is none, or a recipe for another model.
    """
    what = f"the recipe {name} cannot be read"
    try:
        recipes = msgspec.json.decode(file.read_bytes(), type=_PreAnalysis).recipes
    except OSError as error:
        raise CompressionError(what, f"{file}: {reason(error)}", "check the path") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CompressionError(what, f"{file}: {error}", "give the JSON of a pre-analysis") from error
    if name not in recipes:
        raise CompressionError(what, f"{file.name} has none of that name", f"choose {' or '.join(recipes)}")
    by_module = {_plain(weight): weight for weight in weights}
    found: dict[str, Encoding] = {}
    for module, bits in recipes[name].items():
        weight = _weight_of(module, by_module)
        if weight is None:
            raise CompressionError(what, f"the model has no {module}", "give the model that it was made for")
        if bits == 16:
            continue
        try:
            found[weight] = parse(f"palette-{bits}")
        except EncodingError as error:
            raise CompressionError(what, str(error), "measure again") from error
    return found


def _weight_of(module: str, by_module: dict[str, str]) -> str | None:
    """The weight of a module: its path, perhaps after the name of what it is a part of."""
    path = re.sub(r"\W", "_", module)
    candidates = [name for name in by_module if name == path or name.endswith(f"_{path}")]
    return by_module[min(candidates, key=len)] if candidates else None


def _plain(weight: str) -> str:
    """``unet_conv_in_weight_to_fp16`` as ``unet_conv_in``."""
    return re.sub(r"\W", "_", weight).removesuffix("_to_fp16").removesuffix("_weight")
