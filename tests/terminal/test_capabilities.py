"""How many colours a terminal has, from what it says of itself."""

from __future__ import annotations

import pytest

from sdtui.terminal.capabilities import colour_depth


@pytest.mark.parametrize(
    ("environment", "console", "depth"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, None, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, None, "truecolor"),
        ({"TERM": "xterm-256color"}, None, "256"),
        ({"TERM": "tmux-256color"}, None, "256"),
        ({"TERM": "xterm-direct"}, None, "truecolor"),
        ({"TERM": "xterm-kitty"}, None, "truecolor"),
        ({"TERM": "xterm"}, None, "16"),
        ({"TERM": "dumb"}, None, "mono"),
        ({}, None, "mono"),
        ({"TERM": "xterm-256color"}, "truecolor", "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "256", "256"),
        ({"TERM": "xterm-256color"}, "standard", "16"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "truecolor", "grey"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, None, "grey"),
        ({"TERM": "dumb", "NO_COLOR": "1"}, None, "mono"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, None, "256"),
    ],
)
def test_colour_depth(environment: dict[str, str], console: str | None, depth: str) -> None:
    assert colour_depth(environment, console) == depth
