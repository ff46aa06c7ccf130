"""Which pictures the model learns, and the words for each of them.

The names and tags are those of emojibase; a subject is kept when it is a thing that can be drawn on
a plain background: animals, plants, food, vehicles, places, weather, objects. People, flags, signs,
clock faces and symbols are left out, and so are near-duplicates that one picture cannot tell apart.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sdtui.starter.config import BACKGROUNDS

_CHOICE = tomllib.loads((Path(__file__).parent / "subjects.toml").read_text(encoding="utf-8"))
_GENERIC = frozenset({"animal", "animals", "background", "face", "food", "picture", "thing", "things"})


@dataclass(frozen=True)
class Subject:
    """One thing the model can draw."""

    name: str
    """Its name, lower case, as in the label of emojibase."""
    synonyms: tuple[str, ...]
    """Other words that mean this subject and no other."""
    file: Path
    """The artwork, 256 px RGBA."""


def plain(text: str) -> str:
    """Lower case, straight apostrophes, single spaces."""
    return re.sub(r"\s+", " ", text.replace("’", "'").replace("ñ", "n")).strip().lower()


def read_subjects(work: Path) -> list[Subject]:
    """The subjects in a stable order, from what ``fetch`` left in ``work``."""
    assets = work / "raw" / "fluent" / "assets"
    files = {path.stem.lower().replace("-fe0f", ""): path for path in sorted(assets.glob("*.webp"))}
    english = work / "raw" / "emojibase" / "en"
    messages = json.loads((english / "messages.json").read_text(encoding="utf-8"))
    subgroups = {entry["order"]: entry["key"] for entry in messages["subgroups"]}
    whole = set(_CHOICE["subgroups"])
    wanted = {plain(label) for label in _CHOICE["also"]}
    unwanted = {plain(label) for label in _CHOICE["left_out"]}

    kept: list[tuple[str, list[str], Path]] = []
    for entry in json.loads((english / "data.json").read_text(encoding="utf-8")):
        name = plain(entry["label"])
        path = files.get(entry["hexcode"].lower().replace("-fe0f", ""))
        drawable = subgroups.get(entry.get("subgroup")) in whole or name in wanted
        if path is not None and drawable and name not in unwanted:
            kept.append((name, [plain(tag) for tag in entry.get("tags", [])], path))

    names = {name for name, _, _ in kept}
    uses = Counter(tag for _, tags, _ in kept for tag in set(tags))
    return [
        Subject(name, tuple(tag for tag in tags if _is_synonym(tag, names, uses)), path)
        for name, tags, path in kept
    ]


def _is_synonym(tag: str, names: set[str], uses: Counter[str]) -> bool:
    words = tag.split()
    return (
        uses[tag] == 1
        and tag not in names
        and len(tag) > 2
        and not any(word in _GENERIC or word in BACKGROUNDS for word in words)
        and bool(re.fullmatch(r"[a-z' -]+", tag))
    )
