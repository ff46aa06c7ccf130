"""Taking back changes of the settings; what is written in the prompts is the editors' own to undo."""

from __future__ import annotations

from sdtui.request import Choices
from sdtui.tui.draft import Draft

TEXTS = ("prompt", "negative_prompt")
SETTINGS = (*(name for name in Choices.__struct_fields__ if name not in TEXTS), "seed_locked")
KEPT = 100


class SettingsUndo:
    """The drafts before each change. A field turned step by step is one change."""

    def __init__(self) -> None:
        self._before: list[Draft] = []
        self._after: list[Draft] = []
        self._last: frozenset[str] = frozenset()

    def note(self, before: Draft, after: Draft) -> None:
        """The person has changed ``before`` into ``after``."""
        changed = frozenset(name for name in SETTINGS if getattr(before, name) != getattr(after, name))
        if not changed:
            return
        if changed != self._last or not self._before:
            self._before = [*self._before, before][-KEPT:]
        self._last = changed
        self._after.clear()

    def settle(self) -> None:
        """What changes next is another change, even of the same field."""
        self._last = frozenset()

    def back(self, draft: Draft) -> Draft:
        """``draft`` with the settings before the last change; as it is where there is none."""
        return self._exchanged(draft, self._before, self._after)

    def forth(self, draft: Draft) -> Draft:
        """``draft`` with the change that was taken back last."""
        return self._exchanged(draft, self._after, self._before)

    def _exchanged(self, draft: Draft, source: list[Draft], target: list[Draft]) -> Draft:
        self.settle()
        if not source:
            return draft
        target.append(draft)
        earlier = source.pop()
        return draft.replace(**{name: getattr(earlier, name) for name in SETTINGS})
