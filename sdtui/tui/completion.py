"""How a prompt that is being written may go on: as an earlier one did, or with a word people use."""

from __future__ import annotations

import re
from collections.abc import Iterable

TAGS = (
    "3d render",
    "aerial view",
    "art deco",
    "at dusk",
    "at night",
    "autumn colours",
    "backlit",
    "black and white",
    "blue background",
    "bokeh",
    "cinematic lighting",
    "close-up",
    "concept art",
    "depth of field",
    "double exposure",
    "engraving",
    "film grain",
    "flat colours",
    "golden hour",
    "hand-drawn",
    "highly detailed",
    "impressionist",
    "in the rain",
    "in the style of",
    "isometric",
    "line art",
    "long exposure",
    "low angle",
    "low poly",
    "macro photograph",
    "minimalist",
    "morning mist",
    "oil painting",
    "on a white background",
    "pastel colours",
    "pencil sketch",
    "photograph",
    "pixel art",
    "portrait",
    "sharp focus",
    "soft light",
    "studio lighting",
    "sunlight",
    "symmetrical",
    "telephoto",
    "top-down view",
    "vector illustration",
    "watercolour",
    "wide angle",
    "woodcut",
)
NEGATIVE_TAGS = (
    "blurry",
    "cropped",
    "deformed",
    "distorted",
    "extra fingers",
    "extra limbs",
    "jpeg artefacts",
    "low contrast",
    "low quality",
    "noise",
    "out of frame",
    "overexposed",
    "signature",
    "text",
    "watermark",
    "worst quality",
)
"""What people write who have written nothing yet."""

KEPT = 2000
SHORTEST_PROMPT, SHORTEST_TAG = 3, 2
"""Letters that are typed before an earlier prompt, or a tag, is suggested."""

_PIECE = re.compile(r"[^,\n]*\Z")
_BEFORE_TAG = re.compile(r"[\s(\[{|]*")


class Vocabulary:
    """The prompts written so far, newest first, and the tags in them, those used most first."""

    def __init__(self, tags: Iterable[str], prompts: Iterable[str] = ()) -> None:
        self._prompts: dict[str, None] = {}
        self._tags: dict[str, int] = dict.fromkeys(tags, 0)
        self.learn(prompts)

    def learn(self, prompts: Iterable[str]) -> None:
        """Know these prompts too; the first of them is the newest."""
        new = [line for prompt in prompts if (line := " ".join(prompt.split()))]
        for prompt in new:
            if prompt not in self._prompts:
                for tag in filter(None, (piece.strip() for piece in prompt.split(","))):
                    self._tags[tag] = self._tags.get(tag, 0) + 1
        self._prompts = dict.fromkeys([*new, *self._prompts][:KEPT])

    def completion(self, text: str) -> str:
        """What may follow ``text``, which ends at the cursor; nothing where nobody knows."""
        if len(text) >= SHORTEST_PROMPT and "\n" not in text:
            longer = (prompt for prompt in self._prompts if prompt.startswith(text) and prompt != text)
            if following := next(longer, None):
                return following[len(text) :]
        piece = _PIECE.search(text)
        begun = piece[0][_BEFORE_TAG.match(piece[0]).end() :] if piece else ""  # type: ignore[union-attr]
        if len(begun) < SHORTEST_TAG:
            return ""
        fitting = [
            tag for tag in self._tags if len(tag) > len(begun) and tag.lower().startswith(begun.lower())
        ]
        return max(fitting, key=lambda tag: self._tags[tag])[len(begun) :] if fitting else ""
