"""The caption grammar: what a scene may be called."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from sdtui.starter.config import BACKGROUNDS, COLOURS, STYLES
from sdtui.starter.scene import Scene, Thing

_STYLED: dict[str, tuple[str, ...]] = {
    "3d": ("a 3d render of {}", "{}, 3d", "{}, 3d style", "3d {plain}"),
    "flat": ("a flat icon of {}", "{}, flat", "{}, flat style", "{}, flat design", "flat {plain}"),
    "line": (
        "a line drawing of {}",
        "{}, line art",
        "{}, line style",
        "{}, line drawing",
        "line art {plain}",
    ),
}
_PLACED: dict[str, tuple[str, ...]] = {
    "center": ("{} in the center", "{} in the middle", "{}, centered"),
    "left": ("{} on the left", "{} on the left side", "{} at the left"),
    "right": ("{} on the right", "{} on the right side", "{} at the right"),
    "top": ("{} at the top", "{} on top"),
    "bottom": ("{} at the bottom", "{} on the bottom"),
    "top left": ("{} in the top left corner", "{} at the top left", "{} in the upper left"),
    "top right": ("{} in the top right corner", "{} at the top right", "{} in the upper right"),
    "bottom left": ("{} in the bottom left corner", "{} at the bottom left", "{} in the lower left"),
    "bottom right": ("{} in the bottom right corner", "{} at the bottom right", "{} in the lower right"),
}
_RELATED: dict[str, tuple[str, ...]] = {
    "beside": (
        "{} next to {}",
        "{} and {}",
        "{} beside {}",
        "{} left of {}",
        "{} to the left of {}",
        "{} on the left and {} on the right",
    ),
    "above": ("{} above {}", "{} over {}", "{} on top of {}", "{} at the top and {} at the bottom"),
}
_REVERSED: dict[str, tuple[str, ...]] = {
    "beside": ("{} right of {}", "{} to the right of {}"),
    "above": ("{} below {}", "{} under {}"),
}
_SIZED = {"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}
_COLOURED = (
    ("{} on {colour_background}", 8),
    ("{}, {colour} background", 4),
    ("{} on {colour}", 2),
    ("{} {colour} background", 1),
    ("{colour} background, {}", 1),
    ("{} in front of {colour_background}", 1),
    ("{} with {colour_background}", 1),
)
_SCENERY: dict[str, tuple[str, ...]] = {
    "meadow": ("{} in a meadow", "{} on a meadow", "{} on green grass", "{}, meadow background"),
    "sunset": ("{} at sunset", "{} in the sunset", "{}, sunset background"),
    "night sky": ("{} at night", "{} in the night sky", "{} under the stars", "{}, night background"),
}
_BEFORE = ("a picture of {}", "an emoji of {}", "a photo of {}", "an illustration of {}", "an image of {}")
_AFTER = ("masterpiece", "8k", "high quality", "highly detailed", "best quality", "cute", "beautiful", "4k")


@dataclass(frozen=True)
class Caption:
    """A caption and what it says."""

    text: str
    scene: Scene | None
    """None for the empty caption."""
    tells_background: bool = True


def article(thing: str) -> str:
    """The indefinite article of a thing: ``an`` before a vowel."""
    return "an" if thing[:1] in "aeiou" else "a"


@dataclass(frozen=True)
class Grammar:
    """Draws captions for scenes of the artwork."""

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    synonym_chance: float = 0.2
    no_background_chance: float = 0.08
    told_anyway_chance: float = 0.12
    """Of what goes without saying: the first style, the middle."""
    wrapped_chance: float = 0.12
    """Of words that people put around a prompt and that change nothing."""

    def plain(self, scene: Scene) -> Caption:
        """The plainest caption that says all of a scene: names, first phrasings."""
        words = _related(scene, [_noun(thing, self.names[thing.subject]) for thing in scene.things], 0)
        if len(scene.things) == 1 and scene.arrangement != "center":
            words = _PLACED[scene.arrangement][0].format(words)
        words = _behind(scene, words, 0)
        if scene.style:
            words = _STYLED[STYLES[scene.style]][1].format(words)
        return Caption(words, scene)

    def caption(self, scene: Scene, generator: random.Random) -> Caption:
        """One of the ways to say a scene; some captions do not tell the background."""
        articles = generator.random() < 0.6
        nouns = [
            _noun(thing, self._word(thing.subject, generator), generator, articles) for thing in scene.things
        ]
        words = _related(scene, nouns, generator)
        if len(scene.things) == 1 and (scene.arrangement != "center" or self._anyway(generator)):
            words = generator.choice(_PLACED[scene.arrangement]).format(words)
        style = _STYLED[STYLES[scene.style]] if scene.style or self._anyway(generator) else ("{}",)
        phrase = generator.choice(style)
        inside = phrase.startswith("{plain}") or "{plain}" in phrase or not phrase.startswith("{}")
        if inside:
            words = phrase.format(words, plain=_without_article(words))
        tells = generator.random() >= self.no_background_chance or scene.background >= len(COLOURS)
        if generator.random() < self.wrapped_chance and not inside:
            words = generator.choice(_BEFORE).format(words)
        if tells:
            words = _behind(scene, words, generator)
        if not inside:
            words = phrase.format(words)
        if generator.random() < self.wrapped_chance:
            words = ", ".join([words, *generator.sample(_AFTER, generator.randint(1, 3))])
        return Caption(words, scene, tells)

    def _word(self, subject: int, generator: random.Random) -> str:
        synonyms = self.synonyms[subject]
        if synonyms and generator.random() < self.synonym_chance:
            return generator.choice(synonyms)
        return self.names[subject]

    def _anyway(self, generator: random.Random) -> bool:
        return generator.random() < self.told_anyway_chance


Choice = random.Random | int
"""What chooses among phrasings: a generator, or the number of one of them."""


def _chosen(phrasings: tuple[str, ...], choice: Choice) -> str:
    return phrasings[choice] if isinstance(choice, int) else choice.choice(phrasings)


def _noun(thing: Thing, word: str, choice: Choice = 0, articles: bool = True) -> str:
    if thing.size != "normal":
        word = f"{_chosen(_SIZED[thing.size], choice)} {word}"
    return f"{article(word)} {word}" if articles else word


def _without_article(words: str) -> str:
    return words.removeprefix("a ").removeprefix("an ")


def _related(scene: Scene, nouns: list[str], choice: Choice) -> str:
    if len(nouns) == 1:
        return nouns[0]
    reversed_too = isinstance(choice, random.Random) and choice.random() < 0.2
    phrasings = (_REVERSED if reversed_too else _RELATED)[scene.arrangement]
    return _chosen(phrasings, choice).format(*(reversed(nouns) if reversed_too else nouns))


def _behind(scene: Scene, words: str, choice: Choice) -> str:
    name = BACKGROUNDS[scene.background]
    if name in _SCENERY:
        return _chosen(_SCENERY[name], choice).format(words)
    told = {"colour": name, "colour_background": f"{article(name)} {name} background"}
    if isinstance(choice, int):
        return _COLOURED[choice][0].format(words, **told)
    phrases, weights = zip(*_COLOURED, strict=True)
    phrase: str = choice.choices(phrases, weights)[0]
    return phrase.format(words, **told)


def phrasings() -> list[str]:
    """Every phrase of the grammar, for the tokenizer to learn its words from."""
    groups = [*_STYLED.values(), *_PLACED.values(), *_RELATED.values(), *_REVERSED.values()]
    groups += [*_SIZED.values(), *_SCENERY.values(), _BEFORE, _AFTER, tuple(text for text, _ in _COLOURED)]
    every = [phrase for group in groups for phrase in group]
    return [
        re.sub(r"\{.*?\}", "{}", phrase.replace("{colour_background}", "a background")) for phrase in every
    ]
