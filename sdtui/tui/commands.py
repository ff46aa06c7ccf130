"""Everything a person can do: one table that the bindings, the key line, help and palette come from."""

from __future__ import annotations

from typing import Literal

import msgspec
from textual.binding import Binding, BindingType

from sdtui.tui.session import Session


class Command(msgspec.Struct, frozen=True):
    """One thing to do. ``id`` is its name in a keymap, ``action`` the app's action.

    ``keys`` are comma-separated, the first is the one shown. ``title`` is for the key line, ``short``
    for a narrow one; ``shown`` says in which it is. ``meaning`` is a sentence for help and the
    palette. A ``fixed`` command keeps its keys in every keymap.
    """

    id: str
    keys: str
    action: str
    title: str
    meaning: str
    short: str = ""
    shown: Literal["never", "wide", "always"] = "never"
    fixed: bool = False

    @property
    def brief(self) -> str:
        """What it is called where there is little room."""
        return self.short or self.title

    @property
    def binding(self) -> Binding:
        """The command as a binding that no editor swallows."""
        return self.binding_for(self.keys)

    def binding_for(self, keys: str) -> Binding:
        """The same with other keys."""
        # Escape goes to what is open first: a palette or a list closes itself with it.
        return Binding(
            keys,
            self.action,
            self.title,
            show=self.shown != "never",
            priority=keys != "escape",
            id=self.id,
            tooltip=self.meaning,
        )


COMMANDS: tuple[Command, ...] = (
    Command(
        "generate",
        "ctrl+g,ctrl+j,alt+enter,f5",
        "generate",
        "generate",
        "Make the picture; queue it while another is being made",
        shown="always",
        fixed=True,
    ),
    Command(
        "stop",
        "ctrl+t",
        "stop",
        "stop",
        "Stop the running picture, or else the conversion",
        shown="always",
        fixed=True,
    ),
    Command("retry", "f9", "retry", "try again", "Make again what failed", "again", shown="always"),
    Command(
        "next-seed",
        "ctrl+n",
        "next_seed",
        "next seed",
        "Make the same with the next seed",
        "next",
        shown="always",
    ),
    Command(
        "recall",
        "ctrl+r",
        "screen('recall')",
        "recall",
        "Find an earlier prompt and take it into the editor",
        shown="always",
    ),
    Command("library", "ctrl+l", "open('library')", "library", "Choose the model", shown="wide"),
    Command(
        "gallery",
        "f2",
        "screen('gallery')",
        "gallery",
        "Look at every picture: search, favourites, delete",
        shown="always",
    ),
    Command(
        "compare",
        "f3",
        "screen('compare')",
        "compare",
        "Put the picture beside the marked one, or the one before it",
        shown="wide",
    ),
    Command("grid", "f10", "screen('grid')", "X/Y sheet", "Vary two settings, and see all on one sheet"),
    Command(
        "presets", "ctrl+s", "screen('presets')", "presets", "Use named settings, or keep these under a name"
    ),
    Command(
        "jump", "ctrl+o", "screen('jump')", "jump", "Go to any part of the screen by its letter", shown="wide"
    ),
    Command(
        "palette",
        "ctrl+p",
        "command_palette",
        "all commands",
        "Search every command",
        "all",
        shown="always",
        fixed=True,
    ),
    Command(
        "help", "f1", "screen('help')", "help", "Every key, and what it does", shown="always", fixed=True
    ),
    Command("request", "f4", "open('request')", "request", "Change steps, guidance, seed, scheduler, count"),
    Command("negative", "f6", "open('negative')", "negative", "Write what the picture should not show"),
    Command("queue", "f7", "open('queue')", "queue", "See what waits; take it out, or have it made earlier"),
    Command("recent", "f8", "open('recent')", "recent", "Look at the latest pictures"),
    Command("convert", "", "screen('convert')", "convert a model", "Make a Core ML model of a checkpoint"),
    Command("mask", "alt+m", "screen('mask')", "mask", "Paint where the source picture is to be made anew"),
    Command(
        "settings", "f12", "screen('settings')", "settings", "Change what new requests start with, and more"
    ),
    Command("model", "", "screen('model')", "model details", "See everything known of the model"),
    Command("log", "", "screen('log')", "log", "Read what the engine has written down"),
    Command(
        "empty-trash", "", "screen('empty_trash')", "empty the trash", "Delete for good what was deleted"
    ),
    Command(
        "redraw", "alt+r", "redraw", "redraw", "Draw all anew: something else has written to the terminal"
    ),
    Command("copy-path", "alt+c", "screen('copy_path')", "copy path", "Copy the path of the picture"),
    Command("unload", "alt+u", "unload", "unload", "Take the model out of memory until the next picture"),
    Command("lock-seed", "", "lock_seed", "lock seed", "Keep the seed, or draw one for each picture"),
    Command("undo-settings", "alt+z", "undo_settings", "undo settings", "Take a change of the settings back"),
    Command("redo-settings", "alt+y", "redo_settings", "redo settings", "Make that change again"),
    Command(
        "close",
        "escape",
        "close",
        "close",
        "Close what is open, back to the prompt; never stops a job",
        fixed=True,
    ),
    Command(
        "quit", "ctrl+q", "quit", "quit", "Leave the studio; a running job goes on in the engine", fixed=True
    ),
)

BY_ID = {command.id: command for command in COMMANDS}
BINDINGS: list[BindingType] = [command.binding for command in COMMANDS if command.keys]
PALETTE_ONLY = frozenset(command.id for command in COMMANDS if not command.keys)


def usable(action: str, session: Session) -> bool | None:
    """Whether a command has something to do now; None where it has not, but help still lists it."""
    match action:
        case "stop":
            return not session.engine.idle or None
        case "unload":
            return (session.engine.link == "on" and session.engine.idle) or None
        case "retry":
            return session.can_retry or None
        case _:
            return True
