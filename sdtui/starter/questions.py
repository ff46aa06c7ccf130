"""What the evaluation asks, and how its answers are scored.

It asks for combinations that were never trained: a subject's background, place or style, a pair of
subjects.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdtui.starter.artwork import Artwork
from sdtui.starter.captions import Grammar
from sdtui.starter.judge import Judge, mark, rates
from sdtui.starter.render import render
from sdtui.starter.scene import Scene, SceneSource

KINDS = ("background", "place", "style", "pair")
"""What of a question was never trained."""
GUIDANCE = 4.0
"""The guidance that the figures are taken at, unless they say otherwise."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Question:
    """One prompt."""

    kind: str
    scene: Scene
    prompt: str
    seed: int


def questions(artwork: Artwork, count: int) -> list[Question]:
    """So many of each kind; the same every time, whatever the count of others."""
    grammar = Grammar(artwork.names, artwork.synonyms)
    source = SceneSource(len(artwork))
    asked = []
    for kind in KINDS:
        generator = random.Random(f"questions {kind}")
        for number in range(count):
            scene = source.unseen(kind, generator)
            asked.append(Question(kind, scene, grammar.plain(scene).text, number))
    return asked


def score(judge: Judge, asked: Sequence[Question], pictures: Sequence[Picture]) -> dict[str, float]:
    """The part of the pictures that is right, by question of :class:`~sdtui.starter.judge.Marks`."""
    verdicts = judge(pictures)
    return rates([mark(question.scene, seen) for question, seen in zip(asked, verdicts, strict=True)])


def diversity(pictures: Sequence[Sequence[Picture]]) -> float:
    """Root mean square difference of 8-bit pixels between pictures of one prompt, mean over prompts."""
    means = []
    for group in pictures:
        pairs = itertools.combinations([each.astype(np.float32) for each in group], 2)
        means.append(np.mean([np.sqrt(np.square(a - b).mean()) for a, b in pairs]))
    return float(np.mean(means))


def real(artwork: Artwork, asked: Sequence[Question], again: int = 0) -> list[Picture]:
    """Real pictures of what was asked for."""
    return [render(each.scene, artwork, np.random.default_rng([each.seed, again])) for each in asked]
