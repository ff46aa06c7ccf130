"""The person's own keys: checked before they are used, so that none of them locks anybody out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from textual.app import App
from textual.binding import Binding
from textual.keys import Keys

from sdtui.errors import SdtuiError
from sdtui.tui.commands import BY_ID, COMMANDS, PALETTE_ONLY
from sdtui.tui.key_catalogue import PARTS, in_force

MODIFIERS = ("ctrl", "alt", "shift", "super", "meta", "hyper")
_NAMED = frozenset(key.value for key in Keys) | {"space", "enter", "escape", "tab", "backspace", "delete"}


class KeymapError(SdtuiError):
    """The keymap of the settings is not used."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"[keymap] {what}", why, "correct the settings; until then the usual keys work")


def checked(keymap: Mapping[str, str]) -> dict[str, str]:
    """The keymap as Textual takes it. Raises :class:`KeymapError` for the first thing wrong with it.

    Every id is one that help shows, the keys of the contract stay where they are, every key has a
    name, letters alone are left to what is being written, and no key does two things in one place.
    """
    everywhere = in_force((command.binding for command in COMMANDS if command.keys), {})
    fixed = {command.id for command in COMMANDS if command.fixed}
    known = {*everywhere, *PALETTE_ONLY, *(id for part in PARTS.values() for id in in_force(part, {}))}
    for id, keys in keymap.items():
        if id not in known:
            raise KeymapError(f"{id!r} is no command", "the ids are those that help shows")
        if id in fixed:
            raise KeymapError(f"{id} keeps its keys", "scripts and other people's fingers rely on them")
        for key in keys.split(","):
            _check_name(id, key)
            if id in everywhere or id in PALETTE_ONLY:
                _check_not_written(id, key)
    commands = tuple(command.binding_for(keymap.get(command.id, command.keys)) for command in COMMANDS)
    everywhere_now = [binding for binding in commands if binding.key]
    moved = [binding for binding in everywhere_now if binding.id in keymap]
    _check_unique(everywhere_now, "everywhere")
    for title, part in PARTS.items():
        bindings = in_force(part, keymap)
        _check_unique((*bindings.values(), *moved), title.lower())
        _check_unique((*everywhere_now, *(bindings[id] for id in keymap if id in bindings)), title.lower())
    return {id: ",".join(map(_spelled, keys.split(","))) for id, keys in keymap.items()}


def give_keys(app: App[None], keymap: Mapping[str, str]) -> dict[str, str]:
    """Have the app use these keys; returns them. Raises :class:`KeymapError`, and changes nothing then."""
    keys = checked(keymap)
    app.set_keymap(keys)
    for id in PALETTE_ONLY & keys.keys():
        app.bind(keys[id], BY_ID[id].action, description=BY_ID[id].title)
    return keys


def _check_unique(bindings: Iterable[Binding], where: str) -> None:
    owners: dict[str, str] = {}
    for id, binding in in_force(bindings, {}).items():
        for key in map(_spelled, binding.key.split(",")):
            other = owners.setdefault(key, id)
            if other != id:
                raise KeymapError(f"{key} is for {other} and {id}", f"{where} a key does one thing")


def _check_name(id: str, key: str) -> None:
    *modifiers, name = key.strip().split("+") if key.strip() != "+" else ["+"]
    if all(modifier in MODIFIERS for modifier in modifiers) and _is_key(name):
        return
    raise KeymapError(f"{id}: {key!r} is no key", "keys are named like f9, ctrl+e or alt+z")


def _check_not_written(id: str, key: str) -> None:
    *modifiers, name = key.strip().split("+")
    if not set(modifiers) - {"shift"} and (len(name) == 1 or name == "space" or name not in _NAMED):
        raise KeymapError(f"{id}: {key} is written in prompts", "take a key with ctrl or alt, or f1 to f12")


def _is_key(name: str) -> bool:
    if len(name) == 1:
        return name.isprintable()
    if name in _NAMED:
        return True
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def _spelled(key: str) -> str:
    """A key as Textual spells it: ``=`` is ``equals_sign``."""
    *modifiers, name = key.strip().split("+") if key.strip() != "+" else ["+"]
    if len(name) == 1 and not name.isalnum():
        name = unicodedata.name(name).lower().replace("-", "_").replace(" ", "_")
    return "+".join((*modifiers, name))
