"""The ways a terminal may take a picture, and which of them this one does best."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Literal, NamedTuple

from sdtui.terminal.answers import Report
from sdtui.terminal.capabilities import ColourDepth

Protocol = Literal["kitty", "iterm2", "sixel", "halfblock", "none"]

PLACEHOLDERS_SINCE = {"kitty": (0, 28), "ghostty": (1, 0)}
"""The terminals that draw kitty's Unicode placeholders. Others (wezterm, Konsole, Warp, xterm.js, older
kitty) answer OK to the graphics query, and show boxes."""

INLINE_IMAGES = frozenset({"iterm2", "wezterm", "mintty", "warp", "warpterminal"})
TRUE_COLOURS = frozenset(
    {"kitty", "ghostty", "iterm2", "wezterm", "mintty", "foot", "konsole", "contour", "xterm.js", "vte"}
)
"""They show 16 million colours, whether or not COLORTERM, which SSH does not hand on, says so."""
SIXEL = 4
"""The attribute among the primary device attributes, https://vt100.net/docs/vt510-rm/DA1.html."""


class Choice(NamedTuple):
    """How pictures are shown here, and why, in words for people."""

    protocol: Protocol
    why: str
    through_tmux: bool = False
    """Whether each sequence must be wrapped for tmux to hand it on."""


def choose(
    report: Report, environment: Mapping[str, str], depth: ColourDepth, beyond: Report | None = None
) -> Choice:
    """What suits the terminal that gave ``report``.

    ``beyond`` is what the terminal around tmux answered through it; None when nothing came through.
    Brand and version decide where they are known: many terminals say that they know a protocol of
    which they draw nothing.
    """
    if depth in ("grey", "mono"):
        return Choice("halfblock", "colours are turned off" if depth == "grey" else "it has no colours")
    if environment.get("TEXTUAL_DRIVER"):
        return Choice("halfblock", "the studio is shown in a browser")
    brand, version = brand_of(report, environment)
    if brand == "tmux":
        return _inside_tmux(report, depth, beyond)
    if environment.get("STY"):
        return Choice("halfblock", "screen hands no pictures on")
    return _direct(report, brand, version, depth)


def promise_colours(report: Report, environment: MutableMapping[str, str]) -> None:
    """Say in ``environment`` what the terminal is known to show, for Rich and Textual to find."""
    named = report.version is not None and brand_of(report, environment)[0] in TRUE_COLOURS
    if named and not environment.get("COLORTERM") and environment.get("TERM", "") != "dumb":
        environment["COLORTERM"] = "truecolor"


def brand_of(report: Report, environment: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
    """The terminal's name in lower case, and its version; from XTVERSION, else from what it left behind.

    >>> brand_of(Report(version="kitty(0.41.1)"), {})
    ('kitty', (0, 41, 1))
    """
    told = report.version
    if told is None and environment.get("TMUX"):
        told = "tmux"
    if told is None and environment.get("LC_TERMINAL"):  # survives SSH, where TERM_PROGRAM does not
        told = f"{environment['LC_TERMINAL']} {environment.get('LC_TERMINAL_VERSION', '')}"
    if told is None:
        told = f"{environment.get('TERM_PROGRAM', '')} {environment.get('TERM_PROGRAM_VERSION', '')}"
    name = re.match(r"[a-z][a-z0-9._-]*", told.lower())
    numbers = re.search(r"\d+(?:\.\d+)*", told[name.end() if name else 0 :])
    brand = (name.group() if name else "").removesuffix(".app").rstrip(".-_")
    return {"iterm": "iterm2"}.get(brand, brand), tuple(
        int(part) for part in (numbers.group().split(".") if numbers else ())
    )


def _direct(report: Report, brand: str, version: tuple[int, ...], depth: ColourDepth) -> Choice:
    named = " ".join(filter(None, (brand, ".".join(map(str, version)))))
    if brand in PLACEHOLDERS_SINCE:
        needed = PLACEHOLDERS_SINCE[brand]
        if version and version < needed:
            since = ".".join(map(str, needed))
            return Choice("halfblock", f"{named} is older than {since}, which brought placeholders")
        if not report.kitty_graphics:
            return Choice("halfblock", f"{named} says that its graphics are off")
        if depth == "16":
            return Choice("halfblock", "placeholders need 256 colours: set TERM to xterm-256color")
        return Choice("kitty", f"{named} draws kitty's placeholders")
    if brand in INLINE_IMAGES or (brand == "xterm.js" and SIXEL in report.attributes):
        return Choice("iterm2", f"{named} shows iTerm2's inline images")
    if SIXEL not in report.attributes:
        return Choice("halfblock", f"{named or 'it'} names no picture protocol")
    if report.cell is None:
        return Choice("halfblock", f"{named or 'it'} knows sixel, but not how large a cell is")
    return Choice("sixel", f"{named or 'it'} says that it draws sixel")


def _inside_tmux(report: Report, depth: ColourDepth, beyond: Report | None) -> Choice:
    """tmux always claims sixel when it was built with it: what counts is the terminal around it."""
    if beyond is None:
        return Choice(
            "halfblock", "tmux hands nothing on: `tmux set -g allow-passthrough on` lets pictures through"
        )
    outer, version = brand_of(beyond, {})
    if outer == "tmux":
        return Choice("halfblock", "one tmux runs inside another")
    choice = _direct(beyond, outer, version, depth)
    if choice.protocol == "kitty":
        return choice._replace(why=f"{choice.why}, through tmux", through_tmux=True)
    if SIXEL in beyond.attributes and SIXEL in report.attributes:
        return (
            Choice("sixel", "tmux and the terminal around it draw sixel")
            if report.cell
            else Choice("halfblock", "tmux does not say how large a cell is")
        )
    return Choice("halfblock", f"{outer or 'the terminal'} around tmux takes no picture through it")
