"""Bytes in each terminal over each link: for a label, for a picture drawn again, at rest, at the end.

A few pairs are looked at by every run of the tests, all of them by the slow ones.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest

from tests.terminal.fake_terminal import KITTY, MUTE, PLAIN, TMUX, WEZTERM, XTERM, FakeTerminal, Profile
from tests.tui.test_pictures_in_terminals import APP, ESCAPE, F1, F3, F4, count, ends

LABEL_BYTES, REPAINT_BYTES = 200, 12_000
SIZE = 100, 36
"""Cells around a picture of 512 pixels at its own size."""


class Window(NamedTuple):
    """A terminal, the one around it where it is tmux, and what pictures are there."""

    profile: Profile
    beyond: Profile | None
    protocol: str


class Link(NamedTuple):
    """Seconds there and back, and bytes a second."""

    delay: float
    rate: float = float("inf")


WINDOWS = {
    "kitty": Window(KITTY, None, "kitty"),
    "xterm": Window(XTERM, None, "sixel"),
    "wezterm": Window(WEZTERM, None, "iterm2"),
    "tmux": Window(TMUX, KITTY, "kitty"),
    "plain": Window(PLAIN, None, "halfblock"),
    "mute": Window(MUTE, None, "halfblock"),
}
LINKS = {
    "at hand": Link(0.0),
    "50 ms": Link(0.05),
    "300 ms": Link(0.3),
    "50 kB/s": Link(0.08, 50_000),
}
QUICK = {("xterm", "at hand"), ("tmux", "50 ms"), ("wezterm", "300 ms"), ("kitty", "50 kB/s")}
PAIRS = [
    pytest.param(window, link, marks=[] if (window, link) in QUICK else [pytest.mark.slow])
    for window, link in itertools.product(WINDOWS, LINKS)
]


def since(terminal: FakeTerminal, key: bytes, link: Link) -> bytes:
    """What a key makes the app send, until nothing more comes."""
    before = len(terminal.sent)
    terminal.type(key)
    terminal.until(lambda sent: len(sent) > before)
    terminal.quiet(0.5 + 2 * link.delay, 30)
    return bytes(terminal.sent[before:])


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_little_is_sent_and_nothing_is_left_over(name: str, way: str) -> None:
    window, link = WINDOWS[name], LINKS[way]
    columns, rows = SIZE
    with FakeTerminal(
        APP,
        window.profile,
        columns=columns,
        rows=rows,
        delay=link.delay,
        rate=link.rate,
        beyond=window.beyond,
    ) as terminal:
        terminal.until(lambda sent: window.protocol == "halfblock" or count(window.protocol, sent), 60)
        terminal.quiet(1.0 + 2 * link.delay, 60)
        assert len(since(terminal, F4, link)) <= LABEL_BYTES

        since(terminal, F1, link)
        again = since(terminal, ESCAPE, link)
        if window.protocol == "kitty":
            assert count("kitty", again) == 0
            assert len(again) <= REPAINT_BYTES

        before = len(terminal.sent)
        terminal.run(5.0)
        assert len(terminal.sent) == before, "idle, and something is sent"

        terminal.type(F3)  # twenty previews, one after the other
        terminal.run(0.6 + link.delay)
        before = len(terminal.sent)
        assert ends(terminal, link.delay) == f"'' {window.protocol}"
        assert len(terminal.sent) - before <= link.rate, "more than a second's worth"
