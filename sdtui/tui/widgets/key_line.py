"""The last line: what the keys do now."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sdtui.tui.commands import COMMANDS, Command

WIDE = 120


class KeyLine(Widget):
    """The commands that are of use now, with their real keys; a click does the same."""

    commands: reactive[tuple[tuple[str, Command], ...]] = reactive(())

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._read_keys())
        self._read_keys()

    def _read_keys(self) -> None:
        """Take the keys from the bindings in force, so that a remapped key is the one shown."""
        keys: dict[str, str] = {}
        for active in self.screen.active_bindings.values():
            identity = active.binding.id
            if active.enabled and identity and identity not in keys:
                keys[identity] = self.app.get_key_display(active.binding)
        self.commands = tuple(
            (keys[command.id], command)
            for command in COMMANDS
            if command.shown != "never" and command.id in keys
        )

    @property
    def _wide(self) -> bool:
        return self.size.width >= WIDE

    def _entries(self) -> list[tuple[str, str, Command]]:
        """Key, name and command, as many as there is room for."""
        return [
            (key, command.title if self._wide else command.short or command.title, command)
            for key, command in self.commands
            if self._wide or command.shown == "always"
        ]

    def render(self) -> Content:
        gap = " " * (3 if self._wide else 2)
        entries = (
            Content.assemble((key, "bold $accent"), " ", (name, "$foreground-muted"))
            for key, name, _ in self._entries()
        )
        return Content.assemble(" ", Content(gap).join(entries))

    async def on_click(self, event: events.Click) -> None:
        start = 1
        for key, name, command in self._entries():
            end = start + len(key) + 1 + len(name)
            if start <= event.x < end:
                await self.app.run_action(command.action)
                return
            start = end + (3 if self._wide else 2)
