"""What the command palette offers: every command, and what only it can do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, cast

import msgspec
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider

from sdtui.request import SCHEDULERS
from sdtui.tui.commands import COMMANDS, usable
from sdtui.tui.screens.closing import ClosesOnce

if TYPE_CHECKING:
    from sdtui.tui.app import Studio


class Entry(msgspec.Struct, frozen=True):
    """A line of the palette, and the app's action behind it."""

    title: str
    meaning: str
    action: str


def entries(studio: Studio) -> Iterator[Entry]:
    """Everything that can be done now."""
    for command in COMMANDS:
        if command.id != "palette" and usable(command.action, studio.session):
            yield Entry(command.title, command.meaning, command.action)
    for model in studio.models:
        yield Entry(f"model: {model.title}", "Use this model", f"use('model', {model.reference!r})")
    for name in sorted(studio.presets or {}):
        yield Entry(f"preset: {name}", "Use these settings", f"use_preset({name!r})")
    for scheduler in SCHEDULERS:
        yield Entry(f"scheduler: {scheduler}", "Use this scheduler", f"use('scheduler', {scheduler!r})")
    for theme in sorted(studio.available_themes):
        yield Entry(f"theme: {theme}", "Use these colours", f"use_theme({theme!r})")


class Palette(CommandPalette, ClosesOnce[None]):
    """Textual's, which two enters in a row would close twice, and which raises KeyError for a page of a
    list that is too small to be seen.
    """

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)


class StudioCommands(Provider):
    """Feeds Textual's palette."""

    async def discover(self) -> Hits:
        for entry in entries(cast("Studio", self.app)):
            yield DiscoveryHit(entry.title, self._run(entry), help=entry.meaning)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in entries(cast("Studio", self.app)):
            score = max(matcher.match(entry.title), matcher.match(entry.meaning) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(entry.title), self._run(entry), help=entry.meaning)

    def _run(self, entry: Entry) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await self.app.run_action(entry.action)

        return run
