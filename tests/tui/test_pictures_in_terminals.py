"""Pictures in terminals that answer as real ones do: what is sent, how often, and what is left behind."""

from __future__ import annotations

import re
import sys

import pytest

from tests.terminal.fake_terminal import (
    KITTY,
    MUTE,
    TMUX,
    WEZTERM,
    XTERM,
    FakeTerminal,
    Profile,
)

APP = [sys.executable, "-P", "-m", "tests.tui.picture_app"]
PLACEHOLDER, HALF_BLOCK = "\U0010eeee".encode(), "▀".encode()
PICTURES = {
    "kitty": rb"\x1b_Ga=T,[^;]*;",
    "sixel": rb"\x1bP7;1q",
    "iterm2": rb"\x1b\]1337;File=",
}
F1, F2, F3, F4, F5, F6 = b"\x1bOP", b"\x1bOQ", b"\x1bOR", b"\x1bOS", b"\x1b[15~", b"\x1b[17~"
ESCAPE, QUIT, FOCUS = b"\x1b", b"\x11", b"\x1b[I"
COMMANDS = re.compile(rb"\x1b_G.*?\x1b\\", re.DOTALL)
GARBAGE = Profile({"version": b"\x1bP>|\xff\xfe;;\x1b\\", "attributes": b"\x1b[?;;c", "ready": b"\x1b[0n"})


def count(protocol: str, sent: bytes) -> int:
    """How many pictures were begun."""
    return len(re.findall(PICTURES[protocol], sent))


def since(terminal: FakeTerminal, key: bytes) -> bytes:
    """What a key makes the app send."""
    before = len(terminal.sent)
    terminal.type(key)
    terminal.quiet()
    return bytes(terminal.sent[before:])


def ends(terminal: FakeTerminal, delay: float = 0.0) -> str:
    """Leave the app, and what it says then; nothing may be left for the shell to read."""
    terminal.type(QUIT)
    assert terminal.ended() == 0
    assert terminal.left_over(delay + 0.1) == b""
    found = re.search(rb"TYPED ('.*?') SHOWN (\w+)", bytes(terminal.sent))
    assert found
    return f"{found[1].decode()} {found[2].decode()}"


def test_kitty_is_sent_a_picture_once_and_shows_it_through_everything() -> None:
    with FakeTerminal(APP, KITTY) as terminal:
        terminal.until(lambda sent: count("kitty", sent))
        terminal.quiet()
        assert count("kitty", bytes(terminal.sent)) == 1
        assert bytes(terminal.sent).count(PLACEHOLDER) > 500

        another = since(terminal, F2)
        assert count("kitty", another) == 1
        assert PLACEHOLDER not in another, "the same cells show the new picture"

        label = since(terminal, F4)
        assert len(label) < 200
        assert count("kitty", label) == 0
        assert since(terminal, b"") == b"", "idle, and something is sent"

        dialog = since(terminal, F1)
        assert b"DIALOG" in dialog
        assert count("kitty", dialog) == 0
        back = since(terminal, ESCAPE)
        assert count("kitty", back) == 0, "the terminal has it still"
        assert PLACEHOLDER in back

        terminal.resize(100, 30)
        smaller = since(terminal, b"")
        assert count("kitty", smaller) == 0
        assert b"\x1b_Ga=p,U=1," in smaller, "placed anew, not sent anew"

        assert ends(terminal) == "'' kitty"
        assert re.search(rb"\x1b_Ga=d,d=I,i=\d+,q=2\x1b\\", bytes(terminal.sent))


@pytest.mark.parametrize(("profile", "protocol"), [(XTERM, "sixel"), (WEZTERM, "iterm2")])
def test_a_picture_over_the_text_is_sent_when_text_has_gone_over_it(profile: Profile, protocol: str) -> None:
    with FakeTerminal(APP, profile) as terminal:
        terminal.until(lambda sent: count(protocol, sent))
        terminal.quiet()
        assert count(protocol, since(terminal, F2)) == 1
        label = since(terminal, F4)
        assert count(protocol, label) == 0
        assert len(label) < 200

        assert count(protocol, since(terminal, F1)) == 0, "it would lie over the dialog"
        assert count(protocol, since(terminal, ESCAPE)) == 1

        notice = since(terminal, F5)
        assert b"NOTICE" in notice
        assert count(protocol, notice) == 0
        assert HALF_BLOCK in notice, "what lies over a part leaves the rest in sight"
        assert ends(terminal) == f"'' {protocol}"


def test_no_row_of_a_picture_touches_the_last_row_of_the_screen() -> None:
    with FakeTerminal(APP, XTERM, columns=200, rows=20) as terminal:
        terminal.until(lambda sent: count("sixel", sent))
        terminal.run(0.3)
        for row, height in re.findall(rb'\x1b\[(\d+);\d+H\x1bP7;1q"1;1;\d+;(\d+)', bytes(terminal.sent)):
            assert int(row) - 1 + int(height) / 16 <= 19


@pytest.mark.parametrize(
    ("profile", "beyond", "delay", "shown"),
    [
        (KITTY, None, 0.8, "kitty"),
        (TMUX, KITTY, 0.0, "kitty"),
        (TMUX, None, 0.0, "halfblock"),
        (GARBAGE, None, 0.08, "halfblock"),
        (MUTE, None, 0.0, "halfblock"),
    ],
)
def test_what_is_typed_while_the_terminal_answers_is_all_that_is_typed(
    profile: Profile, beyond: Profile | None, delay: float, shown: str
) -> None:
    with FakeTerminal(APP, profile, beyond=beyond, delay=delay) as terminal:
        terminal.type(b"ahead ")
        terminal.until(lambda sent: b"\x1b[?1049h" in sent)  # letters may be drawn one by one
        terminal.run(0.3)
        terminal.type(b"and on")
        terminal.run(2.2 * delay + 0.4)
        assert ends(terminal, delay) == f"'ahead and on' {shown}"


def test_an_end_before_the_first_answer_leaves_nothing_to_the_shell() -> None:
    with FakeTerminal(APP, KITTY, delay=0.5) as terminal:
        terminal.until(lambda sent: b"\x1b[?1049h" in sent)
        terminal.run(0.1)
        assert ends(terminal, 0.5).startswith("''")


def test_on_a_slow_link_previews_are_left_out_and_a_key_still_comes_through() -> None:
    with FakeTerminal(APP, KITTY, columns=80, rows=24, rate=50_000, delay=0.08) as terminal:
        terminal.until(lambda sent: count("kitty", sent), 30)
        terminal.run(1.0)
        before = len(terminal.sent)
        terminal.type(F3)
        terminal.run(0.6)
        typed_at = len(terminal.sent)
        terminal.type(b"K")
        terminal.until(lambda sent: b"K" in COMMANDS.sub(b"", sent[typed_at:]), 2)
        assert len(terminal.sent) - typed_at < 40_000, "the key waited for a picture"
        terminal.run(2.0)
        shown = count("kitty", bytes(terminal.sent[before:]))
        assert 3 <= shown < 21, "newest wins"
        assert ends(terminal, 0.1) == "'K' kitty"


def test_pictures_can_be_turned_off() -> None:
    with FakeTerminal([*APP, "none"], KITTY) as terminal:
        terminal.until(lambda sent: b"pictures are turned off" in sent)
        terminal.run(0.3)
        assert count("kitty", bytes(terminal.sent)) == 0
        assert ends(terminal) == "'' none"


@pytest.mark.parametrize(("profile", "beyond"), [(KITTY, None), (TMUX, KITTY)])
def test_a_picture_that_the_terminal_has_lost_is_sent_again_when_its_window_is_looked_at(
    profile: Profile, beyond: Profile | None
) -> None:
    with FakeTerminal(APP, profile, beyond=beyond) as terminal:
        terminal.until(lambda sent: count("kitty", sent))
        terminal.run(1.2)
        seen = since(terminal, FOCUS)
        assert count("kitty", seen) == 0, "it is there still"
        assert len(seen) < 200

        terminal.pictures.clear()
        terminal.run(1.2)
        assert count("kitty", since(terminal, FOCUS)) == 1
        assert ends(terminal) == "'' kitty"


def test_tmux_attached_to_another_terminal_shows_what_that_one_can() -> None:
    with FakeTerminal(APP, TMUX, beyond=KITTY) as terminal:
        terminal.until(lambda sent: count("kitty", sent))
        terminal.run(1.2)
        terminal.attach(XTERM)
        assert HALF_BLOCK in since(terminal, FOCUS)
        terminal.run(1.2)
        terminal.attach(KITTY)
        terminal.resize(100, 30)
        assert count("kitty", since(terminal, b"")) == 1
        assert ends(terminal) == "'' kitty"


@pytest.mark.parametrize(("profile", "protocol"), [(KITTY, "kitty"), (XTERM, "sixel"), (WEZTERM, "iterm2")])
def test_a_key_has_everything_drawn_anew(profile: Profile, protocol: str) -> None:
    with FakeTerminal(APP, profile) as terminal:
        terminal.until(lambda sent: count(protocol, sent))
        terminal.quiet()
        before = len(terminal.sent)
        terminal.type(F6)
        terminal.until(lambda sent: count(protocol, sent[before:]))
        terminal.quiet()
        again = bytes(terminal.sent[before:])
        # What lies over the text may be there before all of the text is, and once more then.
        assert protocol != "kitty" or count(protocol, again) == 1
        assert b"\x1b[>0q" in again, "it may be another terminal"
        assert ends(terminal) == f"'' {protocol}"
