"""Every key of the studio by where it works: what help lists, and what a keymap may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.binding import Binding, BindingType

from sdtui.tui.screens.compare import Compare
from sdtui.tui.screens.convert import Convert
from sdtui.tui.screens.gallery import Gallery
from sdtui.tui.screens.grid import Grid
from sdtui.tui.screens.log import Log
from sdtui.tui.screens.mask import MaskScreen
from sdtui.tui.screens.presets import Presets
from sdtui.tui.screens.recall import Recall
from sdtui.tui.screens.settings import SettingsScreen
from sdtui.tui.widgets.choice import Choice
from sdtui.tui.widgets.library import Library
from sdtui.tui.widgets.mask_painter import MaskPainter
from sdtui.tui.widgets.picture_grid import PictureGrid
from sdtui.tui.widgets.queue import Queue
from sdtui.tui.widgets.recent import RecentStrip
from sdtui.tui.widgets.request_panel import RequestPanel

PARTS: Mapping[str, tuple[BindingType, ...]] = {
    "In the request": tuple(RequestPanel.BINDINGS),
    "In the library": tuple(Library.BINDINGS),
    "In the queue": tuple(Queue.BINDINGS),
    "In the recent pictures": tuple(RecentStrip.BINDINGS),
    "In the gallery": (*PictureGrid.BINDINGS, *Gallery.BINDINGS),
    "In a comparison": tuple(Compare.BINDINGS),
    "In recall": tuple(Recall.BINDINGS),
    "In the presets": tuple(Presets.BINDINGS),
    "In the X/Y sheet": (*Choice.BINDINGS, *Grid.BINDINGS),
    "In the mask": (*MaskPainter.BINDINGS, *MaskScreen.BINDINGS),
    "In the settings": (*Choice.BINDINGS, *SettingsScreen.BINDINGS),
    "In the log": tuple(Log.BINDINGS),
    "In the conversion": (*Choice.BINDINGS, *Convert.BINDINGS),
}
"""The bindings that are in force together, beside those that work everywhere."""


def in_force(bindings: Iterable[BindingType], keymap: Mapping[str, str]) -> dict[str, Binding]:
    """Each binding by its id, with all its keys, those of ``keymap`` where it has some."""
    keys: dict[str, Binding] = {}
    for binding in Binding.make_bindings(bindings):
        assert binding.id, f"{binding.key} has no id"
        before = keys.get(binding.id)
        if binding.id in keymap:
            keys[binding.id] = _with_keys(binding, keymap[binding.id])
        elif before is None:
            keys[binding.id] = binding
        else:
            keys[binding.id] = _with_keys(before, f"{before.key},{binding.key}")
    return keys


def _with_keys(binding: Binding, keys: str) -> Binding:
    from dataclasses import replace

    return replace(binding, key=keys)
