"""What happens in the studio, without a screen."""

from __future__ import annotations

import msgspec
import pytest

from sdtui.diffusion.events import Decoding, Loading
from sdtui.engine.protocol import (
    Cancel,
    Cancelled,
    Failed,
    Failure,
    Finished,
    Gauge,
    Job,
    Progress,
    Result,
    Submit,
)
from sdtui.request import GenerationRequest, RequestError
from sdtui.tui.draft import Draft
from sdtui.tui.engine_link import Connected, Connecting, Lost
from sdtui.tui.remembered import Remembered
from sdtui.tui.session import SUGGESTION, Picture, Session
from tests.tui.fake_engine import MEMORY, snapshot
from tests.tui.opened import SECONDS, progress, queued, step

APPLE = GenerationRequest(prompt="red apple", seed=7)
KILLED = Failure("the engine stopped", "it was ended or killed", "try again")


def session(remembered: Remembered | None = None, **draft: object) -> Session:
    """A session with an engine that answers."""
    made = Session(remembered or Remembered(), Draft().replace(**{"prompt": "red apple", **draft}))
    for event in (Connecting(), Connected(), snapshot()):
        made.hear(event)
    return made


def said(studio: Session) -> str:
    """The notice there is, or nothing."""
    return studio.notice.text if studio.notice else ""


def picture(identity: int, prompt: str = "pear") -> Picture:
    """A picture of the history."""
    return Picture(
        identity, f"/{identity}.png", 64, 64, GenerationRequest(prompt=prompt, seed=identity), "starter"
    )


def result(submit: Submit, identity: int = 1) -> Finished:
    """The engine is done with it."""
    made = Result(f"/{identity}.png", identity, 64, 64, "starter", "portable bf16", SECONDS, 1)
    return Finished(submit.job, submit.request, made)


# ---- asking ------------------------------------------------------------------------------------


def test_generating_asks_for_one_job_a_picture_with_consecutive_seeds() -> None:
    studio = session(count=3, seed=10, seed_locked=True)
    submits = studio.generate()
    assert [(submit.request.seed, submit.request.count) for submit in submits] == [(10, 1), (11, 1), (12, 1)]
    assert len({submit.job for submit in submits}) == 3
    assert [job.state for job in studio.engine.jobs] == ["queued"] * 3


def test_choices_in_the_prompt_are_drawn_for_each_picture() -> None:
    studio = session(prompt="{red|green} apple", seed=0, seed_locked=True, count=3)
    asked = [message.request for message in studio.generate()]
    assert {request.prompt for request in asked} == {"red apple", "green apple"}
    assert {request.template for request in asked} == {"{red|green} apple"} == {studio.draft.prompt}


def test_a_wildcard_that_is_not_there_is_told_and_nothing_is_queued() -> None:
    studio = session(prompt="__no-such-file__")
    with pytest.raises(RequestError, match="the wildcard __no-such-file__ cannot be used"):
        studio.generate()
    assert not studio.engine.jobs


def test_generating_twice_draws_two_seeds_unless_locked() -> None:
    studio = session()
    assert studio.generate()[0].request.seed != studio.generate()[0].request.seed
    studio.write(studio.draft.replace(seed_locked=True))
    assert studio.generate()[0].request.seed == studio.generate()[0].request.seed


def test_the_next_seed_follows_the_one_of_the_last_picture() -> None:
    studio = session()
    first = studio.generate()[0].request.seed
    assert first is not None
    assert studio.generate_next_seed()[0].request.seed == (first + 1) % 2**32


def test_an_empty_prompt_is_refused_and_nothing_is_queued() -> None:
    studio = session(prompt="")
    try:
        studio.generate()
    except RequestError as error:
        assert error.field == "prompt"
    else:
        raise AssertionError("an empty prompt was accepted")
    assert studio.engine.jobs == ()


def test_stop_ends_the_running_job_and_not_the_next() -> None:
    studio = session(count=2)
    assert studio.stop() == []
    first, second = studio.generate()
    studio.hear(queued(first))
    studio.hear(queued(second, 1))
    studio.hear(progress(first.job, 1))
    assert studio.stop() == [Cancel(first.job)]
    studio.hear(Cancelled(first.job))
    assert [job.job for job in studio.engine.jobs] == [second.job]
    assert said(studio) == "stopped"


# ---- hearing -----------------------------------------------------------------------------------


def test_a_picture_in_the_making_is_shown_and_then_the_finished_one() -> None:
    studio = session()
    (submit,) = studio.generate()
    studio.hear(queued(submit))
    assert not studio.shown
    studio.hear(progress(submit.job, 3))
    assert studio.shown == step(3).preview
    assert studio.shown_request == submit.request
    studio.hear(Progress(submit.job, Decoding(), MEMORY))
    assert studio.shown == step(3).preview, "the preview stays while the picture is decoded"
    studio.hear(result(submit))
    assert studio.preview is None
    assert studio.latest is not None
    assert studio.shown_request == submit.request
    assert said(studio).startswith("done in 2.3 s")


def test_the_latest_picture_stays_while_the_next_is_being_loaded() -> None:
    studio = session()
    (first,) = studio.generate()
    studio.hear(result(first))
    (second,) = studio.generate()
    studio.hear(Progress(second.job, Loading("unet", 2, 3), MEMORY))
    assert isinstance(studio.shown, Picture)


def test_an_opened_picture_stays_while_another_is_made() -> None:
    studio = session()
    (submit,) = studio.generate()
    studio.open(picture(5))
    studio.hear(progress(submit.job, 3))
    studio.hear(result(submit, 6))
    assert studio.shown == picture(5)
    studio.open(None)
    assert isinstance(studio.shown, Picture)
    assert studio.shown.id == 6


def test_taking_a_picture_takes_its_request_and_keeps_what_was_written() -> None:
    studio = session(prompt="half a tho")
    studio.take(APPLE)
    assert studio.draft.request() == APPLE
    assert studio.draft.seed_locked
    assert studio.walk_prompts(1)
    assert studio.draft.prompt == "half a tho"


def test_a_failure_is_told_in_one_line_and_can_be_tried_again() -> None:
    studio = session()
    (submit,) = studio.generate()
    studio.hear(Failed(submit.job, Failure("no memory", "the model needs 9 GB", "choose a smaller one")))
    assert said(studio) == "no memory — the model needs 9 GB — choose a smaller one"
    assert studio.can_retry
    (again,) = studio.retry()
    assert again.request == submit.request
    assert again.job != submit.job
    assert said(studio) == ""
    assert not studio.can_retry


def test_a_lost_engine_leaves_the_prompt_and_what_to_retry() -> None:
    studio = session(count=2)
    running, waiting = studio.generate()
    studio.hear(progress(running.job, 4))
    studio.hear(Lost(KILLED))
    assert studio.engine.link == "lost"
    assert studio.engine.jobs == ()
    assert studio.draft.prompt == "red apple"
    assert studio.shown is None
    first, second = studio.retry()
    assert first.request == running.request
    assert first.job != running.job, "what ran is over: it needs a new name"
    assert second == waiting, "what waited is known to the engine by its name"


def test_jobs_that_the_engine_kept_are_there_once_after_it_is_back() -> None:
    studio = session(count=2)
    _, waiting = studio.generate()
    studio.hear(progress(_.job, 4))
    studio.hear(Lost(KILLED))
    studio.retry()
    studio.hear(Connecting())
    studio.hear(Connected())
    studio.hear(snapshot(jobs=[Job(waiting.job, waiting.request, "queued")]))
    assert [job.job for job in studio.engine.jobs].count(waiting.job) == 1
    assert len(studio.engine.jobs) == 2


def test_coming_back_attaches_to_the_running_job() -> None:
    studio = Session(Remembered(), Draft())
    studio.hear(snapshot(warmth="busy", jobs=[Job("theirs", APPLE, "running", step(9))]))
    assert studio.engine.running is not None
    assert studio.engine.running.request == APPLE
    assert studio.shown == step(9).preview
    studio.hear(progress("theirs", 10))
    assert studio.shown == step(10).preview


def test_ended_jobs_in_a_snapshot_are_not_listed() -> None:
    studio = Session(Remembered(), Draft())
    studio.hear(
        snapshot(jobs=[Job("a", APPLE, "finished"), Job("b", APPLE, "failed"), Job("c", APPLE, "queued")])
    )
    assert [job.job for job in studio.engine.jobs] == ["c"]


def test_what_is_asked_before_the_engine_is_up_waits_for_it() -> None:
    studio = Session(Remembered(), Draft(prompt="red apple"))
    studio.hear(Connecting())
    (submit,) = studio.generate()
    assert [job.job for job in studio.engine.waiting] == [submit.job]
    studio.hear(Connected())
    studio.hear(snapshot())
    assert [job.job for job in studio.engine.waiting] == [submit.job]
    studio.hear(queued(submit))
    assert [job.job for job in studio.engine.waiting] == [submit.job]


def test_memory_is_traced() -> None:
    studio = session()
    more = msgspec.structs.replace(MEMORY, engine=MEMORY.engine * 2)
    studio.hear(Gauge(more, "cold"))
    assert studio.engine.trace[-2:] == (MEMORY.engine, more.engine)
    assert studio.engine.warmth == "cold"


def test_an_idle_gauge_that_reads_the_same_changes_nothing() -> None:
    studio = session()
    before = studio.engine
    for change in (1000, 2**28, -(2**28)):
        studio.hear(Gauge(msgspec.structs.replace(MEMORY, machine=MEMORY.machine + change), "warm"))
        assert studio.engine == before
    studio.hear(Gauge(msgspec.structs.replace(MEMORY, machine=MEMORY.machine + 2**29), "warm"))
    assert studio.engine != before


# ---- pictures, and the next run ------------------------------------------------------------------


def test_the_first_run_offers_a_suggestion_and_says_nothing() -> None:
    studio = session(prompt="")
    assert studio.suggestion == "", "not before it is known whether there are pictures"
    studio.list_recent(())
    assert studio.suggestion == SUGGESTION
    assert said(studio) == ""


def test_welcome_back_counts_what_was_finished_meanwhile() -> None:
    studio = session(Remembered(draft=Draft(), seen=3))
    studio.list_recent((picture(5), picture(4), picture(3)))
    assert said(studio) == "welcome back — 2 pictures finished while you were away"
    assert studio.unseen == {4, 5}
    assert studio.shown == picture(5)
    studio.open(picture(5))
    assert studio.unseen == {4}
    assert studio.remembered().seen == 5


def test_pictures_made_here_are_not_news() -> None:
    studio = session(Remembered(draft=Draft(), seen=3))
    studio.list_recent((picture(3),))
    (submit,) = studio.generate() if studio.draft.prompt else [Submit("a", APPLE)]
    studio.hear(result(submit, 4))
    studio.list_recent((picture(4), picture(3)))
    assert studio.unseen == frozenset()


def test_earlier_prompts_come_from_the_history_too() -> None:
    studio = session(Remembered(draft=Draft(), prompts=("written",)), prompt="")
    studio.list_recent((picture(2, "made elsewhere"),))
    assert [studio.walk_prompts(1), studio.draft.prompt] == [True, "written"]
    assert [studio.walk_prompts(1), studio.draft.prompt] == [True, "made elsewhere"]


def test_what_is_remembered_brings_the_session_back() -> None:
    studio = session()
    studio.generate()
    studio.write(studio.draft.replace(prompt="red apple, 3d", steps=33))
    again = Session(studio.remembered(), Draft())
    assert again.draft == studio.draft
    assert again.walk_prompts(1)
    assert again.draft.prompt == "red apple"


def test_goodbye_says_what_goes_on() -> None:
    studio = session()
    studio.generate()
    assert studio.goodbye(True).startswith("a picture goes on in the engine")
    studio.generate()
    assert studio.goodbye(True).startswith("2 pictures go on")
    assert "the prompt is kept" in studio.goodbye(False)
