"""What terminals answered, as recorded from real ones, told apart from what a person types."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.terminal.answers import CellSize, Report, WindowSize, sift
from sdtui.terminal.dialogue import Dialogue
from sdtui.terminal.questions import PROBE, READY, through_tmux
from tests.terminal.fake_terminal import FOOT, KITTY, WEZTERM, XTERM, Profile

PROFILES = {"kitty": KITTY, "xterm": XTERM, "foot": FOOT, "wezterm": WEZTERM}


def answered(profile: Profile) -> bytes:
    """All answers to the probe, in the order of the questions."""
    order = ("version", "graphics", "cell", "window", "attributes")
    return b"".join(profile.answers.get(question, b"") for question in order)


CELL = CellSize(8, 17)
XTERM_ATTRIBUTES = frozenset({63, 1, 2, 4, 6, 9, 15, 16, 22, 28})


@pytest.mark.parametrize(
    ("name", "report"),
    [
        (
            "kitty",
            Report("kitty(0.41.1)", frozenset({62}), True, CELL, WindowSize(960, 680), True),
        ),
        ("xterm", Report("XTerm(398)", XTERM_ATTRIBUTES, False, None, WindowSize(960, 640), True)),
        ("foot", Report("foot(1.21.0)", frozenset({62, 4, 22, 28}), False, CELL, None, True)),
    ],
)
def test_a_recorded_terminal_is_understood(name: str, report: Report) -> None:
    typed, answers, held = sift(answered(PROFILES[name]))
    assert (typed, held) == (b"", b"")
    assert Report().hearing(answers) == report


KEYS = (
    b"a",
    "ü".encode(),
    b"\r",
    b"\x1b[A",
    b"\x1b[1;5C",
    b"\x1bOP",
    b"\x1b[<0;3;4M",
    b"\x1b[200~x\x1b[201~",
)
keys = st.lists(st.sampled_from(KEYS))


@given(st.sampled_from(sorted(PROFILES)), keys, keys, st.data())
def test_whatever_is_typed_between_and_however_it_is_cut_answers_and_keys_come_apart(
    name: str, before: list[bytes], after: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(before) + answered(PROFILES[name]) + b"".join(after)
    dialogue = Dialogue()
    dialogue.probe()
    typed, start = b"", 0
    while start < len(stream):
        end = data.draw(st.integers(start + 1, len(stream)))
        typed += dialogue.hear(stream[start:end])[0]
        start = end
    typed += dialogue.release()
    assert typed == b"".join(before + after)
    assert dialogue.report == Report().hearing(sift(answered(PROFILES[name]))[1])
    assert not dialogue.open


@given(st.binary(max_size=200))
def test_no_input_breaks_it_and_nothing_is_lost_but_answers(data: bytes) -> None:
    typed, answers, held = sift(data)
    if not answers:
        assert typed + held == data


def test_an_escape_key_is_held_only_while_an_answer_is_due() -> None:
    dialogue = Dialogue()
    assert dialogue.hear(b"\x1b") == (b"\x1b", [])
    dialogue.ask_ready()
    assert dialogue.hear(b"\x1b") == (b"", [])
    assert dialogue.holding
    assert dialogue.release() == b"\x1b"
    assert not dialogue.holding


def test_an_answer_that_comes_after_nobody_waits_is_typed_by_nobody() -> None:
    dialogue = Dialogue()
    dialogue.ask_ready()
    dialogue.abandon_ready()
    assert not dialogue.open
    assert [dialogue.hear(part)[0] for part in (b"\x1b[", b"0n", b"x")] == [b"", b"", b"x"]


def test_the_terminal_around_tmux_answers_second() -> None:
    dialogue = Dialogue()
    assert dialogue.probe() == PROBE
    dialogue.hear(b"\x1bP>|tmux 3.3a\x1b\\\x1b[?1;2c")
    assert dialogue.report.version == "tmux 3.3a"
    before = dialogue.beyond
    assert dialogue.probe_beyond_tmux() == through_tmux(PROBE)
    dialogue.hear(answered(KITTY))
    after = dialogue.beyond
    assert before is None
    assert after is not None
    assert after.version == "kitty(0.41.1)"
    assert dialogue.report.version == "tmux 3.3a"


def test_waiting_ends_when_all_is_answered_and_when_patience_does() -> None:
    dialogue = Dialogue()
    assert dialogue.settle(0)
    dialogue.ask_ready()
    assert 0 < dialogue.patience(1.0) <= 1.0
    start = time.monotonic()
    assert not dialogue.settle(0.05)
    assert time.monotonic() - start >= 0.05
    dialogue.hear(b"\x1b[0n")
    assert dialogue.settle(0)
    assert dialogue.patience(1.0) == 0
    assert not dialogue.mute


def test_tmux_gets_every_escape_twice_within_its_own_two() -> None:
    wrapped = through_tmux(PROBE + READY)
    assert wrapped.startswith(b"\x1bPtmux;")
    assert wrapped.endswith(b"\x1b\\")
    inner = wrapped[len(b"\x1bPtmux;") : -2]
    assert inner.replace(b"\x1b\x1b", b"") == (PROBE + READY).replace(b"\x1b", b"")
    assert inner.replace(b"\x1b\x1b", b"\x1b") == PROBE + READY
