"""What a picture shows: one thing or two, where, how large, in which style, before which background."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from sdtui.starter.config import BACKGROUNDS, COLOURS, STYLES

PLACES: dict[str, tuple[int, int]] = {
    "center": (0, 0),
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
"""Where a single thing can be, as steps right and down from the middle."""
RELATIONS: dict[str, tuple[int, int]] = {"beside": (1, 0), "above": (0, 1)}
"""How the first of two things lies to the second, as the direction from one to the other."""
SIZES = ("small", "normal", "large")

_ALONE = {"small": 0.42, "normal": 0.8, "large": 0.94}
_ASIDE = {"small": 0.32, "normal": 0.46, "large": 0.6}
_PAIRED = {"small": 0.3, "normal": 0.43, "large": 0.53}
_MARGIN = 0.03


@dataclass(frozen=True)
class Thing:
    """One thing of a picture."""

    subject: int
    """Its number in the artwork."""
    size: str = "normal"


@dataclass(frozen=True)
class Scene:
    """A picture, up to small differences of place and size that no caption tells."""

    things: tuple[Thing, ...]
    """One, or two: that on the left or above first."""
    arrangement: str
    """A key of :data:`PLACES` for one thing, of :data:`RELATIONS` for two."""
    style: int
    background: int


@dataclass(frozen=True)
class Box:
    """A square, in parts of the picture's width: its middle and its side."""

    x: float
    y: float
    side: float


def boxes(scene: Scene) -> list[Box]:
    """Where the things of a scene are drawn."""
    if len(scene.things) == 1:
        right, down = PLACES[scene.arrangement]
        side = (_ASIDE if right or down else _ALONE)[scene.things[0].size]
        free = 0.5 - _MARGIN - side / 2
        return [Box(0.5 + right * free, 0.5 + down * free, side)]
    right, down = RELATIONS[scene.arrangement]
    first, second = (_PAIRED[thing.size] for thing in scene.things)
    gap = (1.0 - first - second) / 3
    middles = (gap + first / 2, 1.0 - gap - second / 2)
    return [
        Box(middle if right else 0.5, middle if down else 0.5, side)
        for middle, side in zip(middles, (first, second), strict=True)
    ]


def _hashed(*parts: object) -> int:
    return zlib.crc32(" ".join(map(str, parts)).encode())


def held_out(scene: Scene) -> frozenset[str]:
    """Which combinations of a scene are kept from all training; empty for a scene to be trained on.

    Some ``background``, ``place`` and ``style`` of every subject are, and some ``pair`` of subjects.
    """
    kinds: set[str] = set()
    for thing in scene.things:
        if _hashed("background", thing.subject, scene.background) % 16 == 0:
            kinds.add("background")
        if scene.style and _hashed("style", thing.subject, scene.style) % 16 == 0:
            kinds.add("style")
    if len(scene.things) == 2:
        first, second = sorted(thing.subject for thing in scene.things)
        if _hashed("pair", first, second) % 8 == 0:
            kinds.add("pair")
    elif scene.arrangement != "center" and (
        _hashed("place", scene.things[0].subject, scene.arrangement) % 16 == 0
    ):
        kinds.add("place")
    return frozenset(kinds)


@dataclass(frozen=True)
class SceneSource:
    """Draws scenes at random."""

    subjects: int
    pair_chance: float = 0.35
    aside_chance: float = 0.4
    """Of a single thing, not to be in the middle."""
    size_chance: float = 0.3
    """Of a thing, to be small or large."""
    style_chance: float = 0.45
    """Not to be in the first style."""
    scenery_chance: float = 0.18

    def any(self, generator: random.Random) -> Scene:
        """Any scene, held out or not."""
        pair = generator.random() < self.pair_chance
        sizes = ["normal", "normal"]
        for index in range(2):
            if generator.random() < self.size_chance:
                sizes[index] = generator.choice(("small", "large"))
        if sizes == ["large", "large"]:
            sizes[1] = "small"
        if pair:
            chosen = generator.sample(range(self.subjects), 2)
            things = tuple(Thing(subject, size) for subject, size in zip(chosen, sizes, strict=True))
            arrangement = generator.choices(("beside", "above"), (3, 1))[0]
        else:
            things = (Thing(generator.randrange(self.subjects), sizes[0]),)
            aside = generator.random() < self.aside_chance
            arrangement = generator.choice([*PLACES][1:]) if aside else "center"
        style = generator.randrange(1, len(STYLES)) if generator.random() < self.style_chance else 0
        scenery = generator.random() < self.scenery_chance
        background = (
            generator.randrange(len(COLOURS), len(BACKGROUNDS))
            if scenery
            else generator.randrange(len(COLOURS))
        )
        return Scene(things, arrangement, style, background)

    def training(self, generator: random.Random) -> Scene:
        """A scene without held-out combinations."""
        while held_out(scene := self.any(generator)):
            pass
        return scene

    def unseen(self, kind: str, generator: random.Random) -> Scene:
        """A scene with a held-out ``background``, ``place``, ``style`` or ``pair``."""
        while kind not in held_out(scene := self.any(generator)):
            pass
        return scene
