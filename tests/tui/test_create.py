"""The main screen with an engine made of messages, at three sizes of the terminal."""

from __future__ import annotations

import pytest
from textual import events
from textual.widgets import OptionList

from sdtui.diffusion.events import Decoding, Encoding, Loading
from sdtui.engine.protocol import Cancel, Cancelled, Failed, Failure, Job, Move, Progress, Reordered
from sdtui.request import GenerationRequest
from sdtui.tui.remembered import recall
from sdtui.tui.widgets.canvas import Canvas
from sdtui.tui.widgets.progress_line import ProgressLine
from sdtui.tui.widgets.prompt_editor import PromptEditor
from tests.tui.fake_engine import MEMORY, FakeEngine, snapshot
from tests.tui.opened import Opened, finished, make_picture, opened, progress, queued, step

pytestmark = pytest.mark.usefixtures("home")

SIZES = [(160, 48), (80, 24), (50, 14)]
APPLE = GenerationRequest(prompt="red apple", seed=7)


def prompt(studio: Opened) -> PromptEditor:
    """The prompt editor."""
    return studio.app.create.query_one("#prompt", PromptEditor)


def line(studio: Opened) -> str:
    """What the progress line says."""
    return str(studio.app.create.query_one(ProgressLine).render())


# ---- the whole path ------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_typed_prompt_becomes_a_picture(width: int, height: int) -> None:
    async with opened(width, height) as studio:
        submit = await studio.generate("red apple")
        assert submit.request.prompt == "red apple"
        studio.engine.say(queued(submit), Progress(submit.job, Loading("unet", 2, 3), MEMORY))
        await studio.shows("loading unet", "2/3")
        studio.engine.say(Progress(submit.job, Encoding(), MEMORY))
        await studio.shows("encoding")
        studio.engine.say(progress(submit.job, 12))
        await studio.shows("denoising", "12/20", "4.0 it/s", "0:02")
        image = studio.app.create.query_one(Canvas).image
        assert image is not None
        assert image.size == (8, 8)
        studio.engine.say(Progress(submit.job, Decoding(), MEMORY))
        await studio.shows("decoding")
        studio.engine.say(finished(submit, make_picture(submit.request)))
        await studio.shows("done in 2.3 s")
        await studio.until(
            lambda: (shown := studio.app.create.query_one(Canvas).image) and shown.size[0] == 64
        )
        assert prompt(studio).text == "red apple"


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_the_cursor_starts_in_the_prompt(width: int, height: int) -> None:
    async with opened(width, height) as studio:
        assert studio.app.focused is prompt(studio)


async def test_the_wide_screen_has_every_pane() -> None:
    async with opened(160, 48) as studio:
        for name in ("LIBRARY", "QUEUE", "REQUEST", "MEMORY", "PROMPT", "NEGATIVE", "RECENT"):
            assert name in studio.text
        await studio.shows("engine ● warm", "portable bf16", "2.0 of 24 GB", "peak  3.0", "^g generate")


async def test_the_compact_screen_has_what_matters() -> None:
    async with opened(80, 24) as studio:
        for name in ("LIBRARY", "QUEUE", "NEGATIVE", "RECENT", "MEMORY"):
            assert name not in studio.text
        await studio.shows("● warm", "2.0/24 GB", "steps", "guidance", "PROMPT", "^g generate", "f1 help")


# ---- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ctrl+g", "ctrl+j", "alt+enter", "f5"])
async def test_every_key_that_generates(key: str) -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press(key)
        await studio.until(lambda: studio.engine.submitted)
        assert studio.engine.submitted[0].request.prompt == "pear"


async def test_generating_while_busy_queues() -> None:
    async with opened() as studio:
        first = await studio.generate("pear")
        studio.engine.say(queued(first), progress(first.job, 3))
        second = await studio.generate()
        studio.engine.say(queued(second, 1))
        await studio.shows("QUEUE  2", "▶ pear")
        assert len(studio.engine.submitted) == 2


async def test_stop_cancels_the_running_job_and_escape_does_not() -> None:
    async with opened() as studio:
        submit = await studio.generate("pear")
        studio.engine.say(queued(submit), progress(submit.job, 3))
        await studio.shows("3/20", "^t stop")
        await studio.press("escape")
        await studio.press("ctrl+t")
        await studio.until(lambda: studio.engine.sent[-1] == Cancel(submit.job))
        studio.engine.say(Cancelled(submit.job))
        await studio.shows("stopped")
        assert studio.engine.sent.count(Cancel(submit.job)) == 1
        assert "^t stop" not in studio.text


async def test_the_next_seed_is_generated_at_once() -> None:
    async with opened() as studio:
        submit = await studio.generate("pear")
        await studio.press("ctrl+n")
        await studio.until(lambda: len(studio.engine.submitted) == 2)
        assert submit.request.seed is not None
        assert studio.engine.submitted[1].request == submit.request.replace(
            seed=(submit.request.seed + 1) % 2**32
        )


async def test_up_walks_to_earlier_prompts_and_the_draft_is_not_lost() -> None:
    async with opened() as studio:
        await studio.generate("first")
        await studio.press("ctrl+u")
        await studio.generate("second")
        await studio.press("ctrl+u")
        await studio.type("half a tho")
        await studio.press("up")
        await studio.until(lambda: prompt(studio).text == "second")
        await studio.press("up")
        await studio.until(lambda: prompt(studio).text == "first")
        await studio.press("down", "down")
        await studio.until(lambda: prompt(studio).text == "half a tho")


async def test_up_inside_the_text_only_moves_the_cursor() -> None:
    async with opened() as studio:
        await studio.generate("first")
        await studio.press("enter")
        await studio.type("more")
        await studio.press("up")
        assert prompt(studio).text == "first\nmore"
        assert prompt(studio).cursor_location[0] == 0


async def test_quit_saves_the_last_letter_and_leaves() -> None:
    async with opened() as studio:
        await studio.type("half a tho")
        await studio.press("ctrl+q")
        await studio.until(lambda: not studio.app.is_running)
    draft = recall().draft
    assert draft is not None
    assert draft.prompt == "half a tho"


async def test_the_draft_is_on_disk_soon_after_typing_and_back_at_the_next_start() -> None:
    async with opened() as studio:
        await studio.type("half a tho")
        await studio.until(lambda: (draft := recall().draft) and draft.prompt == "half a tho")
    async with opened() as studio:
        assert prompt(studio).text == "half a tho"


# ---- the first run, and coming back ---------------------------------------------------------------


async def test_the_first_run_suggests_and_one_key_makes_a_picture() -> None:
    async with opened() as studio:
        await studio.shows("ctrl+g makes a picture", "red apple on a blue background")
        assert prompt(studio).text == ""
        submit = await studio.generate()
        assert submit.request.prompt == "red apple on a blue background" == prompt(studio).text


async def test_right_takes_the_suggestion() -> None:
    async with opened() as studio:
        await studio.shows("red apple on a blue background")
        await studio.press("right")
        assert prompt(studio).text == "red apple on a blue background"


async def test_an_empty_prompt_is_refused_in_one_line() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await studio.press("ctrl+g")
        await studio.shows("prompt is not valid — it is empty — write what the picture should show")
        assert not studio.engine.submitted


async def test_welcome_back() -> None:
    make_picture(APPLE)
    async with opened() as studio:
        await studio.until(lambda: recall().seen == 1)
    make_picture(APPLE.replace(seed=8))
    make_picture(APPLE.replace(seed=9))
    async with opened() as studio:
        await studio.shows("welcome back — 2 pictures finished while you were away")
        assert studio.text.count("  new  ") == 2


async def test_a_running_job_is_re_attached() -> None:
    engine = FakeEngine(snapshot(warmth="busy", jobs=[Job("theirs", APPLE, "running", step(5))]))
    async with opened(engine=engine) as studio:
        await studio.shows("denoising", " 5/20", "▶ red apple")
        studio.engine.say(progress("theirs", 6))
        await studio.shows(" 6/20")


# ---- when it goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_lost_engine_is_one_line_and_the_next_generation_brings_it_back(
    width: int, height: int
) -> None:
    async with opened(width, height) as studio:
        submit = await studio.generate("pear")
        studio.engine.say(queued(submit), progress(submit.job, 3))
        await studio.shows("3/20")
        studio.engine.say(None)
        await studio.until(lambda: "the engine stopped — it was ended or killed" in line(studio))
        assert prompt(studio).text == "pear"
        await studio.generate()
        await studio.until(lambda: studio.app.session.engine.link == "on")
        assert "the engine stopped" not in studio.text


async def test_a_failed_job_says_why_and_one_key_tries_again() -> None:
    async with opened() as studio:
        submit = await studio.generate("pear")
        failure = Failure("no room for the picture", "the disk is full", "make room")
        studio.engine.say(queued(submit), Failed(submit.job, failure))
        await studio.shows("✗ no room for the picture — the disk is full — make room   f9 tries again")
        await studio.press("f9")
        await studio.until(lambda: len(studio.engine.submitted) == 2)
        assert studio.engine.submitted[1].request == submit.request
        await studio.until(lambda: "no room" not in studio.text)


async def test_keys_typed_in_one_burst_with_generate_are_all_in_the_request() -> None:
    async with opened() as studio:
        app = studio.app
        for letter in "pear":
            app.simulate_key(letter)
        app.simulate_key("ctrl+g")
        await studio.until(lambda: studio.engine.submitted)
        assert studio.engine.submitted[0].request.prompt == "pear"


async def test_a_value_set_in_one_burst_with_generate_is_in_the_request() -> None:
    async with opened() as studio:
        await studio.type("pear")
        await studio.press("f4")
        for key in ("3", "3", "enter", "ctrl+g"):
            studio.app.simulate_key(key)
        await studio.until(lambda: studio.engine.submitted)
        assert studio.engine.submitted[0].request.steps == 33
        await studio.press("right")
        await studio.shows("34")


async def test_keys_that_arrive_together_act_in_their_order() -> None:
    async with opened() as studio:
        await studio.type("old")
        for key in ("ctrl+u", "n", "e", "x", "backspace", "w", "home", "a", "space"):
            studio.app.post_message(events.Key(key, {"space": " "}.get(key, key if len(key) == 1 else None)))
        await studio.until(lambda: prompt(studio).text == "a new")


async def test_an_engine_message_between_two_letters_loses_none() -> None:
    async with opened() as studio:
        submit = await studio.generate("a")
        studio.engine.say(queued(submit))
        for index, letter in enumerate("bcdefgh"):
            studio.engine.say(progress(submit.job, index + 1))
            await studio.press(letter)
        await studio.shows("7/20")
        assert prompt(studio).text == "abcdefgh"


# ---- drawers and parts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "title"), [("ctrl+l", "LIBRARY"), ("f7", "QUEUE"), ("f6", "NEGATIVE"), ("f8", "RECENT")]
)
async def test_a_drawer_opens_with_one_key_and_closes_with_escape(key: str, title: str) -> None:
    async with opened(80, 24) as studio:
        await studio.type("pear")
        await studio.press("left")
        await studio.press(key)
        await studio.shows(title)
        assert studio.app.focused is not prompt(studio)
        await studio.press("escape")
        await studio.until(lambda: title not in studio.text)
        assert studio.app.focused is prompt(studio)
        assert prompt(studio).text == "pear"
        assert prompt(studio).cursor_location == (0, 3)


async def test_the_negative_prompt_is_part_of_the_request() -> None:
    async with opened(80, 24) as studio:
        await studio.type("pear")
        await studio.press("f6")
        await studio.type("blurry")
        submit = await studio.generate()
        assert submit.request.negative_prompt == "blurry"


async def test_a_job_is_taken_out_of_the_queue() -> None:
    async with opened() as studio:
        first = await studio.generate("pear")
        second = await studio.generate()
        studio.engine.say(queued(first), queued(second, 1))
        await studio.press("f7")
        await studio.until(lambda: isinstance(studio.app.focused, OptionList))
        await studio.press("down", "delete")
        await studio.until(lambda: studio.engine.sent[-1] == Cancel(second.job))


async def test_resizing_goes_from_panes_to_drawers_and_back_with_the_text_kept() -> None:
    async with opened(160, 48) as studio:
        await studio.type("pear")
        await studio.pilot.resize_terminal(80, 24)
        await studio.until(lambda: "LIBRARY" not in studio.text)
        await studio.pilot.resize_terminal(50, 14)
        await studio.until(lambda: "steps" not in studio.text)
        assert "pear" in studio.text
        await studio.pilot.resize_terminal(160, 48)
        await studio.shows("LIBRARY", "steps")
        assert prompt(studio).text == "pear"


async def test_a_waiting_picture_is_made_earlier_and_the_cursor_follows_it() -> None:
    async with opened() as studio:
        first, second, third = [await studio.generate(prompt) for prompt in ("one", " two", " three")]
        studio.engine.say(queued(first), queued(second, 1), queued(third, 2), progress(first.job, 3))
        await studio.press("f7", "down", "down")
        await studio.shows("f next")
        await studio.press("u")
        await studio.until(lambda: studio.engine.sent[-1] == Move(third.job, "up"))
        studio.engine.say(Reordered([third.job, second.job]))
        await studio.until(lambda: studio.app.session.engine.waiting[0].job == third.job)
        await studio.press("d")
        await studio.until(lambda: studio.engine.sent[-1] == Move(third.job, "down"))
        await studio.press("escape")
        await studio.until(lambda: "f next" not in studio.text)
