"""Walking through earlier prompts, and that none is lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdtui.tui.difference import changed_words
from sdtui.tui.prompts import KEPT, PromptWalk

words = st.text(alphabet="abc", min_size=1, max_size=3)


def test_up_walks_back_and_down_comes_back_to_what_was_being_written() -> None:
    walk = PromptWalk(["newer", "older"], "half a tho")
    assert [walk.move(1), walk.text] == [True, "newer"]
    assert [walk.move(1), walk.text] == [True, "older"]
    assert walk.move(1) is False
    assert [walk.move(-1), walk.move(-1), walk.text] == [True, True, "half a tho"]
    assert walk.move(-1) is False


def test_what_is_changed_on_the_way_is_still_there() -> None:
    walk = PromptWalk(["newer", "older"], "draft")
    walk.move(1)
    walk.write("newer and better")
    walk.move(1)
    walk.move(-1)
    assert walk.text == "newer and better"


def test_what_is_generated_is_the_newest_and_stands_once() -> None:
    walk = PromptWalk(["a", "b"], "")
    walk.write("b")
    walk.keep()
    assert walk.earlier == ("b", "a")
    assert walk.text == "b"


def test_prompts_from_the_history_come_behind() -> None:
    walk = PromptWalk(["a"], "")
    walk.extend(["b", "a", "b", " ", "c"])
    assert walk.earlier == ("a", "b", "c")


def test_the_oldest_go_when_there_are_too_many() -> None:
    walk = PromptWalk([str(number) for number in range(KEPT)], "new")
    walk.keep()
    assert len(walk.earlier) == KEPT
    assert walk.earlier[0] == "new"


@given(st.lists(words, unique=True, max_size=4), st.lists(st.one_of(st.sampled_from([1, -1]), words)))
def test_no_prompt_is_lost_whatever_is_walked_and_written(earlier: list[str], moves: list[int | str]) -> None:
    walk = PromptWalk(earlier, "")
    left: dict[int, str] = {}
    position = 0
    for move in moves:
        if isinstance(move, str):
            walk.write(move)
            left[position] = move
        elif walk.move(move):
            position += move
    walk.keep()
    assert set(earlier) | set(left.values()) == set(walk.earlier)


def test_changed_words() -> None:
    text = "a green apple on a blue table"
    assert [text[slice(*span)] for span in changed_words(text, "a red apple on a blue background")] == [
        "green",
        "table",
    ]
    assert changed_words("same", "same") == ()


@given(st.lists(words).map(" ".join), st.lists(words).map(" ".join))
def test_changed_words_are_words_of_the_text(text: str, compared: str) -> None:
    for start, end in changed_words(text, compared):
        assert text[start:end] in text.split()
    assert changed_words(text, text) == ()
