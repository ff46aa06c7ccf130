"""Named settings: choose one, keep the present ones under a name, or throw one away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from sdtui.tui.figures import shortened
from sdtui.tui.presets import Preset
from sdtui.tui.request_rows import label, value
from sdtui.tui.screens.closing import ClosesOnce
from sdtui.tui.widgets.key_hints import KeyHints
from sdtui.tui.widgets.lines import Lines, fill

NAME = 20
HINTS = {
    "presets.take": "use",
    "presets.keep": "keep the settings under this name",
    "presets.remove": "remove",
    "presets.undo": "undo",
    "presets.close": "close",
}


class Presets(ClosesOnce[Preset | None], ModalScreen[Preset | None]):
    """Dismisses with the preset to use. ``changed`` hears of every change of the presets."""

    CSS_PATH = "presets.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "use the settings of this one", id="presets.take", priority=True),
        Binding(
            "ctrl+s", "keep", "keep the present settings under this name", id="presets.keep", priority=True
        ),
        Binding("ctrl+d", "remove", "remove this one", id="presets.remove", priority=True),
        Binding("ctrl+z", "undo", "bring the removed or replaced one back", id="presets.undo", priority=True),
        Binding("up", "move(-1)", "above", id="presets.up", priority=True),
        Binding("down", "move(1)", "below", id="presets.down", priority=True),
        Binding("escape", "dismiss", "close", id="presets.close"),
    ]

    def __init__(
        self,
        presets: Mapping[str, Preset],
        present: Preset,
        changed: Callable[[Mapping[str, Preset]], object],
    ) -> None:
        super().__init__()
        self._presets = dict(presets)
        self._present = present
        self._changed = changed
        self._before: list[dict[str, Preset]] = []
        self._listed: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="presets"):
            yield Static("PRESETS", classes="title")
            yield Input(placeholder="a name", compact=True)
            yield Static(
                Content.assemble(("now: ", "$foreground-muted"), spoken(self._present)), id="present"
            )
            yield Lines(compact=True)
            yield KeyHints(HINTS)

    # ---- the list ---------------------------------------------------------------------------

    @on(Input.Changed)
    def _list(self) -> None:
        typed = self._typed
        self._listed = sorted(name for name in self._presets if typed.lower() in name.lower())
        chosen = self._listed.index(typed) if typed in self._listed else 0
        self._fill(chosen)

    def _fill(self, chosen: int) -> None:
        nothing = (
            "no preset of that name: ctrl+s keeps the settings under it"
            if self._typed
            else "no preset yet: a name, and ctrl+s keeps the present settings under it"
        )
        fill(self.query_one(OptionList), [*map(self._line, self._listed)], chosen, nothing)

    def on_mount(self) -> None:
        self._list()

    def on_resize(self) -> None:
        """The lines are as long as there is room for."""
        self.call_after_refresh(lambda: self._fill(self.query_one(OptionList).highlighted or 0))

    @property
    def _typed(self) -> str:
        return self.query_one(Input).value.strip()

    @property
    def _chosen(self) -> str | None:
        index = self.query_one(OptionList).highlighted
        return self._listed[index] if index is not None and index < len(self._listed) else None

    def _line(self, name: str) -> Content:
        columns = max(20, self.query_one(OptionList).size.width - NAME - 1)
        return Content.assemble(
            f"{shortened(name, NAME):<{NAME}} ",
            (shortened(spoken(self._presets[name]), columns), "$foreground-muted"),
        )

    # ---- keys -------------------------------------------------------------------------------

    def _in_turn(self, act: Callable[[], object]) -> None:
        """Act after the letters before the key, which wait in the box's own queue."""
        self.query_one(Input).call_later(act)

    def action_take(self) -> None:
        self._in_turn(self._take)

    def _take(self) -> None:
        self._list()
        if self._chosen is not None:
            self.dismiss(self._presets[self._chosen])

    def action_keep(self) -> None:
        self._in_turn(self._keep)

    def _keep(self) -> None:
        if name := self._typed:
            self._change({**self._presets, name: self._present})

    def action_remove(self) -> None:
        self._in_turn(self._remove)

    def _remove(self) -> None:
        if self._chosen is not None:
            self._change({name: each for name, each in self._presets.items() if name != self._chosen})

    def action_undo(self) -> None:
        if self._before:
            self._presets = self._before.pop()
            self._changed(self._presets)
            self._list()

    def _change(self, presets: dict[str, Preset]) -> None:
        self._before.append(self._presets)
        self._presets = presets
        self._changed(presets)
        self._list()

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self._take()


def spoken(preset: Preset) -> str:
    """A preset in a few words."""
    return (
        "   ".join(f"{label(name)} {value(name, each)}" for name, each in preset.items())
        or "the usual settings"
    )
