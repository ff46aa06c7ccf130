"""Which protocol a terminal gets, for every terminal that was looked at."""

from __future__ import annotations

import pytest

from sdtui.terminal.answers import CellSize, Report
from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.protocols import brand_of, choose, promise_colours

CELL = CellSize(8, 17)


def report(version: str | None = None, *attributes: int, graphics: bool = False, cell: bool = True) -> Report:
    """A complete answer."""
    return Report(version, frozenset(attributes), graphics, CELL if cell else None, None, True)


KITTY = report("kitty(0.41.1)", 62, graphics=True)
TMUX = report("tmux 3.5a", 1, 2, 4)


@pytest.mark.parametrize(
    ("told", "environment", "depth", "protocol"),
    [
        (KITTY, {}, "truecolor", "kitty"),
        (KITTY, {"TERM": "xterm-256color"}, "256", "kitty"),
        (KITTY, {}, "16", "halfblock"),
        (KITTY, {}, "grey", "halfblock"),
        (KITTY, {"TEXTUAL_DRIVER": "textual_serve:Driver"}, "truecolor", "halfblock"),
        (report("kitty(0.41.1)", 62), {}, "truecolor", "halfblock"),
        (report("kitty(0.26.5)", 62, graphics=True), {}, "truecolor", "halfblock"),
        (report("ghostty 1.1.3", 62, 22, graphics=True), {}, "truecolor", "kitty"),
        (report("WezTerm 20240203-110809-5046fc22", 65, 4, graphics=True), {}, "truecolor", "iterm2"),
        (report("iTerm2 3.5.4", 62, 4), {}, "truecolor", "iterm2"),
        (report(None, 62, 4), {"LC_TERMINAL": "iTerm2", "LC_TERMINAL_VERSION": "3.4"}, "256", "iterm2"),
        (report(None, 62, 4), {"TERM_PROGRAM": "iTerm.app"}, "truecolor", "iterm2"),
        (report("mintty 3.6.4", 64, 4), {}, "truecolor", "iterm2"),
        (report("xterm.js(6.1.0)", 62, 4, 9, 22, graphics=True), {}, "truecolor", "iterm2"),
        (report("xterm.js(6.1.0)", 1, 2), {}, "truecolor", "halfblock"),
        (report("Konsole 23.08.5", 62, 4, graphics=True), {}, "truecolor", "sixel"),
        (report("Konsole 22.03", 62, graphics=True), {}, "truecolor", "halfblock"),
        (report("XTerm(398)", 63, 4), {}, "truecolor", "sixel"),
        (report("XTerm(398)", 63, 4, cell=False), {}, "truecolor", "halfblock"),
        (report("XTerm(398)", 63), {}, "truecolor", "halfblock"),
        (report("foot(1.21.0)", 62, 4, 22, 28), {}, "truecolor", "sixel"),
        (report(None, 63, 4), {}, "truecolor", "sixel"),
        (report(None, 1, 2), {"TERM_PROGRAM": "Apple_Terminal"}, "256", "halfblock"),
        (Report(), {}, "truecolor", "halfblock"),
        (report(None, 62, 4), {"STY": "1234.pts"}, "truecolor", "halfblock"),
    ],
)
def test_brand_and_version_decide(
    told: Report, environment: dict[str, str], depth: ColourDepth, protocol: str
) -> None:
    choice = choose(told, environment, depth)
    assert choice.protocol == protocol, choice.why
    assert not choice.through_tmux


@pytest.mark.parametrize(
    ("told", "beyond", "protocol", "wrapped"),
    [
        (TMUX, KITTY, "kitty", True),
        (report("tmux 3.3a", 1, 2, cell=False), KITTY, "kitty", True),
        (TMUX, None, "halfblock", False),
        (TMUX, report("kitty(0.26.5)", 62, graphics=True), "halfblock", False),
        (TMUX, report("XTerm(398)", 63, 4, cell=False), "sixel", False),
        (report("tmux 3.3a", 1, 2), report("XTerm(398)", 63, 4), "halfblock", False),
        (TMUX, report("XTerm(398)", 63), "halfblock", False),
        (TMUX, report("iTerm2 3.5", 62, 4), "sixel", False),
        (TMUX, TMUX, "halfblock", False),
    ],
)
def test_inside_tmux_the_terminal_around_it_decides(
    told: Report, beyond: Report | None, protocol: str, wrapped: bool
) -> None:
    choice = choose(told, {"TMUX": "/tmp/tmux-0/default,1,0"}, "truecolor", beyond)
    assert (choice.protocol, choice.through_tmux) == (protocol, wrapped), choice.why


def test_tmux_is_known_by_its_variable_before_it_has_answered() -> None:
    assert brand_of(Report(), {"TMUX": "x", "TERM_PROGRAM": "iTerm.app"}) == ("tmux", ())


@pytest.mark.parametrize(
    ("told", "environment", "promised"),
    [
        (KITTY, {"TERM": "xterm-256color"}, "truecolor"),
        (KITTY, {"TERM": "xterm-256color", "COLORTERM": "no"}, "no"),
        (report("XTerm(379)", 63), {"TERM": "xterm-256color"}, None),
        (TMUX, {"TERM": "tmux-256color"}, None),
        (Report(), {"TERM": "xterm-256color", "TERM_PROGRAM": "kitty"}, None),
    ],
)
def test_colours_are_promised_for_terminals_known_to_show_them(
    told: Report, environment: dict[str, str], promised: str | None
) -> None:
    promise_colours(told, environment)
    assert environment.get("COLORTERM") == promised
