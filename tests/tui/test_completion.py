"""What a prompt may go on with, and how its language is told in colours."""

from __future__ import annotations

import pytest
from hypothesis import given

from sdtui.request import GenerationRequest
from sdtui.tui.completion import TAGS, Vocabulary
from sdtui.tui.highlighting import marks
from sdtui.tui.widgets.prompt_editor import PromptEditor
from tests.strategies import text
from tests.tui.opened import Opened, make_picture, opened

pytestmark = pytest.mark.usefixtures("home")

EARLIER = ("a red apple, oil painting, at dawn", "a red pear", "castle, oil pastels, at dawn")


def prompt(studio: Opened) -> PromptEditor:
    return studio.app.create.query_one("#prompt", PromptEditor)


@pytest.mark.parametrize(
    ("written", "following"),
    [
        ("a red", " apple, oil painting, at dawn"),
        ("a red p", "ear"),
        ("a red pear", ""),
        ("a", ""),
        ("lighthouse, at da", "wn"),
        ("lighthouse, (oil p", "ainting"),
        ("lighthouse,\nAT DA", "wn"),
        ("lighthouse, golden h", "our"),
        ("lighthouse, ", ""),
        ("", ""),
    ],
)
def test_a_prompt_goes_on_as_an_earlier_one_or_with_a_tag(written: str, following: str) -> None:
    assert Vocabulary(TAGS, EARLIER).completion(written) == following


def test_what_was_written_last_and_used_most_comes_first() -> None:
    words = Vocabulary((), ["tree, mist", "tree, milk", "bush, milk"])
    words.learn(["tree, moon"])
    assert words.completion("tree, ") == "moon"
    assert words.completion("house, mi") == "lk"


@given(text, text)
def test_any_text_can_be_completed_and_marked(one: str, other: str) -> None:
    words = Vocabulary(TAGS, [one])
    words.completion(other)
    assert all(0 <= start < end <= len(other) for start, end, _ in marks(other))


def test_the_language_of_prompts_is_told_apart() -> None:
    written = "a (red:1.2) [apple] {3d|flat} __place__ BREAK b"
    told = {written[start:end].strip(): kind for start, end, kind in marks(written)}
    assert told["red"] == "more"
    assert told["apple"] == "less"
    assert told["BREAK"] == told["("] == "sign"
    assert told["{"] == told["__place__"] == "drawn"
    assert "a" not in told


async def test_a_ghost_goes_on_and_right_takes_it() -> None:
    for index, earlier in enumerate(EARLIER):
        make_picture(GenerationRequest(prompt=earlier, seed=index))
    async with opened() as studio:
        await studio.until(lambda: studio.app.session.words.completion("a red") != "")
        await studio.type("a red a")
        await studio.shows("a red apple, oil painting, at dawn")
        assert prompt(studio).text == "a red a"
        await studio.press("ctrl+right")
        assert prompt(studio).text == "a red apple"
        await studio.press("right")
        assert prompt(studio).text == "a red apple, oil painting, at dawn"
        await studio.type(", cinem")
        await studio.shows("cinematic lighting")
        submit = await studio.generate()
        assert submit.request.prompt == "a red apple, oil painting, at dawn, cinem", "a ghost is not written"


async def test_inside_a_text_right_moves_and_nothing_is_offered() -> None:
    async with opened() as studio:
        await studio.generate("a red apple")
        await studio.press("ctrl+u")
        await studio.type("a red x")
        await studio.press("left", "left")
        assert prompt(studio).suggestion == ""
        await studio.press("right", "backspace")
        assert prompt(studio).text == "a redx"


async def test_the_negative_prompt_has_words_of_its_own() -> None:
    async with opened() as studio:
        await studio.press("f6")
        await studio.type("waterm")
        await studio.press("right")
        await studio.until(lambda: studio.app.session.draft.negative_prompt == "watermark")
