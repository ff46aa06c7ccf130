"""The caption grammar: what a picture may be called."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sdtui.starter.config import BACKGROUNDS

COLOURS = tuple(BACKGROUNDS)

_WITH_BACKGROUND = (
    ("{thing} on a {colour} background", 8),
    ("{article} {thing} on a {colour} background", 5),
    ("{thing}, {colour} background", 3),
    ("{article} {thing}, {colour} background", 1),
    ("{thing} on {colour}", 1),
    ("{article} {thing} on {colour}", 1),
    ("{thing} {colour} background", 1),
    ("{colour} background, {thing}", 1),
    ("{article} {thing} in front of a {colour} background", 1),
    ("{article} {thing} with a {colour} background", 1),
    ("a picture of {article} {thing} on a {colour} background", 1),
    ("an emoji of {article} {thing} on a {colour} background", 1),
)
_WITHOUT_BACKGROUND = (
    ("{thing}", 3),
    ("{article} {thing}", 3),
    ("a picture of {article} {thing}", 1),
    ("an emoji of {article} {thing}", 1),
)


@dataclass(frozen=True)
class Caption:
    """A caption and what it says."""

    text: str
    subject: int | None
    """Index of the subject, None for the empty caption."""
    background: int | None
    """Index of the background colour, None when the caption names none."""


def article(thing: str) -> str:
    """The indefinite article of a thing: ``an`` before a vowel."""
    return "an" if thing[:1] in "aeiou" else "a"


def with_background(thing: str, colour: str) -> list[str]:
    """Every way to name a thing and the colour behind it."""
    return [_fill(template, thing, colour) for template, _ in _WITH_BACKGROUND]


def without_background(thing: str) -> list[str]:
    """Every way to name a thing alone."""
    return [_fill(template, thing, "") for template, _ in _WITHOUT_BACKGROUND]


def _fill(template: str, thing: str, colour: str) -> str:
    return template.format(thing=thing, article=article(thing), colour=colour)


@dataclass(frozen=True)
class Grammar:
    """Draws captions for the subjects of the artwork."""

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    synonym_chance: float = 0.25
    no_background_chance: float = 0.12

    def thing(self, subject: int, generator: random.Random) -> str:
        """A word for a subject: its name, or now and then a synonym."""
        synonyms = self.synonyms[subject]
        if synonyms and generator.random() < self.synonym_chance:
            return generator.choice(synonyms)
        return self.names[subject]

    def caption(self, subject: int, background: int, generator: random.Random) -> Caption:
        """A caption for a subject on a background; some captions do not tell the background."""
        thing = self.thing(subject, generator)
        told = generator.random() >= self.no_background_chance
        templates = _WITH_BACKGROUND if told else _WITHOUT_BACKGROUND
        template = generator.choices([text for text, _ in templates], [weight for _, weight in templates])[0]
        return Caption(_fill(template, thing, COLOURS[background]), subject, background if told else None)
