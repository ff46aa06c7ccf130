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

from sdtui.starter.captions import phrasings
from sdtui.starter.config import BACKGROUNDS

_CHOICE = tomllib.loads((Path(__file__).parent / "subjects.toml").read_text(encoding="utf-8"))
_GENERIC = frozenset({"animal", "animals", "face", "food", "thing", "things"})
_GRAMMAR = frozenset(re.findall(r"[a-z0-9]+", " ".join([*phrasings(), *BACKGROUNDS])))


@dataclass(frozen=True)
class Subject:
    """One thing the model can draw."""

    name: str
    """Its name, lower case, as in the label of emojibase."""
    synonyms: tuple[str, ...]
    """Other words that mean this subject and no other."""
    file: Path
    """The artwork in the style ``3d``, 256 px RGBA."""
    flat: str
    """The same in the style ``flat``, as SVG."""
    line: str
    """And in the style ``line``."""


def plain(text: str) -> str:
    """Lower case, straight apostrophes, single spaces."""
    return re.sub(r"\s+", " ", text.replace("’", "'").replace("ñ", "n")).strip().lower()


def read_subjects(work: Path) -> list[Subject]:
    """The subjects in a stable order, from what ``fetch`` left in ``work``."""
    assets = work / "raw" / "fluent" / "assets"
    files = {_code(path.stem): path for path in sorted(assets.glob("*.webp"))}
    flat, line = (_drawings(work / "raw" / folder) for folder in ("flat", "line"))
    english = work / "raw" / "emojibase" / "en"
    messages = json.loads((english / "messages.json").read_text(encoding="utf-8"))
    subgroups = {entry["order"]: entry["key"] for entry in messages["subgroups"]}
    whole = set(_CHOICE["subgroups"])
    wanted = {plain(label) for label in _CHOICE["also"]}
    unwanted = {plain(label) for label in _CHOICE["left_out"]}

    kept: list[tuple[str, list[str], str]] = []
    for entry in json.loads((english / "data.json").read_text(encoding="utf-8")):
        name = plain(entry["label"])
        code = _code(entry["hexcode"])
        drawable = subgroups.get(entry.get("subgroup")) in whole or name in wanted
        everywhere = code in files and code in flat and code in line
        if everywhere and drawable and name not in unwanted:
            kept.append((name, [plain(tag) for tag in entry.get("tags", [])], code))

    names = {name for name, _, _ in kept}
    uses = Counter(tag for _, tags, _ in kept for tag in set(tags))
    return [
        Subject(
            name,
            tuple(tag for tag in tags if _is_synonym(tag, names, uses)),
            files[code],
            flat[code],
            line[code],
        )
        for name, tags, code in kept
    ]


def _code(text: str) -> str:
    return text.lower().replace("-fe0f", "")


def _drawings(package: Path) -> dict[str, str]:
    """The SVG of every emoji of an iconify package, by its code points."""
    stored = json.loads((package / "icons.json").read_text(encoding="utf-8"))
    names = json.loads((package / "chars.json").read_text(encoding="utf-8"))
    bodies = {name: icon["body"] for name, icon in stored["icons"].items()}
    size = f"{stored['width']} {stored['height']}"
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">{{}}</svg>'
    return {_code(code): frame.format(bodies[name]) for code, name in names.items() if name in bodies}


def _is_synonym(tag: str, names: set[str], uses: Counter[str]) -> bool:
    words = tag.split()
    return (
        uses[tag] == 1
        and tag not in names
        and len(tag) > 2
        and not any(word in _GENERIC or word in _GRAMMAR for word in words)
        and bool(re.fullmatch(r"[a-z' -]+", tag))
    )
