"""Walking back through earlier prompts without losing the one being written."""

from __future__ import annotations

from collections.abc import Sequence

KEPT = 200


class PromptWalk:
    """The prompt being written (position 0) and the earlier ones behind it, newest first.

    As in a shell: what is changed at any position is still there when the walk comes back.
    """

    def __init__(self, earlier: Sequence[str] = (), text: str = "") -> None:
        self._earlier = list(earlier)
        self._changed: dict[int, str] = {0: text}
        self._position = 0

    @property
    def text(self) -> str:
        """The prompt at this position, as it was left."""
        if self._position in self._changed:
            return self._changed[self._position]
        return self._earlier[self._position - 1]

    @property
    def earlier(self) -> tuple[str, ...]:
        """The earlier prompts, newest first."""
        return tuple(self._earlier)

    def write(self, text: str) -> None:
        """The prompt at this position now reads ``text``."""
        if text != self.text:
            self._changed[self._position] = text

    def move(self, by: int) -> bool:
        """One position further back (+1) or forward (-1); False at either end."""
        target = self._position + by
        if not 0 <= target <= len(self._earlier):
            return False
        self._position = target
        return True

    def keep(self) -> None:
        """Put every prompt that was written into the earlier ones, the one at hand in front."""
        text = self.text
        for written in (*self._changed.values(), text):
            if written.strip():
                self._earlier = [written, *(old for old in self._earlier if old != written)]
        del self._earlier[KEPT:]
        self._changed = {0: text}
        self._position = 0

    def extend(self, older: Sequence[str]) -> None:
        """Add prompts known from elsewhere behind the others."""
        known = set(self._earlier)
        for prompt in older:
            if prompt.strip() and prompt not in known:
                known.add(prompt)
                self._earlier.append(prompt)
        del self._earlier[KEPT:]
