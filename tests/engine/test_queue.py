"""The queue on a real file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.diffusion.events import Encoding, Seconds
from sdtui.engine.protocol import Cancelled, Failed, Failure, Finished, Result, Way
from sdtui.engine.queue import REMEMBERED, JobQueue, outcome_of
from sdtui.request import GenerationRequest

OOPS = Failure("it broke", "it was old", "buy another")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "queue.json"


def filled(file: Path, *jobs: str) -> JobQueue:
    queue = JobQueue(file)
    for job in jobs:
        queue.put(job, GenerationRequest(prompt=f"picture {job}", seed=1))
    return queue


def nothing(_job: str) -> None:
    """The history knows none of the jobs."""


def states(queue: JobQueue) -> list[tuple[str, str]]:
    return [(job.job, job.state) for job in queue.jobs()]


def test_first_come_first_served(file: Path) -> None:
    queue = filled(file, "a", "b", "c")
    assert (queue.ahead("a"), queue.ahead("c")) == (0, 2)
    taken = queue.take()
    assert taken is not None
    assert taken.job == "a"
    assert queue.ahead("c") == 2
    assert queue.take() == queue.running == taken
    queue.end(Cancelled("a"))
    assert states(queue) == [("a", "cancelled"), ("b", "queued"), ("c", "queued")]
    assert queue.ahead("c") == 1


def test_a_waiting_job_can_end(file: Path) -> None:
    queue = filled(file, "a", "b")
    queue.take()
    queue.end(Cancelled("b"))
    queue.end(Failed("a", OOPS))
    assert queue.idle
    assert queue.take() is None
    failed = queue.find("a")
    assert failed is not None
    assert outcome_of(failed) == Failed("a", OOPS)


def test_an_ended_job_does_not_end_again(file: Path) -> None:
    queue = filled(file, "a")
    queue.take()
    queue.end(Cancelled("a"))
    queue.end(Failed("a", OOPS))
    queue.end(Cancelled("unheard of"))
    assert states(queue) == [("a", "cancelled")]


def test_progress_belongs_to_the_running_job(file: Path) -> None:
    queue = filled(file, "a")
    queue.advance(Encoding())
    queue.take()
    queue.advance(Encoding())
    assert queue.running is not None
    assert queue.running.progress == Encoding()


def test_what_waits_survives_and_what_ran_has_failed(file: Path) -> None:
    queue = filled(file, "a", "b", "c")
    queue.take()
    queue.save()
    again = JobQueue(file)
    again.restore(nothing)
    assert states(again) == [("a", "failed"), ("b", "queued"), ("c", "queued")]
    restored = again.take()
    assert restored is not None
    assert restored.request.prompt == "picture b"


def test_what_got_through_before_the_end_is_not_made_twice(file: Path) -> None:
    queue = filled(file, "a", "b")
    queue.take()
    queue.save()
    result = Result("a.png", 1, 64, 64, "tiny", "portable fp32", Seconds(0, 1, 1, 1, 3), 100)
    end = Finished("a", GenerationRequest(prompt="picture a", seed=1, width=64), result)
    again = JobQueue(file)
    again.restore(lambda job: end if job == "a" else None)
    assert states(again) == [("a", "finished"), ("b", "queued")]
    known = again.find("a")
    assert known is not None
    assert outcome_of(known) == end


def test_what_was_put_back_comes_first(file: Path) -> None:
    queue = filled(file, "a", "b")
    queue.take()
    queue.put_back()
    queue.save()
    again = JobQueue(file)
    again.restore(nothing)
    assert states(again) == [("a", "queued"), ("b", "queued")]


def test_a_damaged_file_is_kept_aside(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('[{"job": "a", "request": {"prompt": "a dear prompt"')
    queue = JobQueue(file)
    queue.restore(nothing)
    assert queue.idle
    assert "a dear prompt" in file.with_suffix(".broken").read_text()


def test_only_so_many_ended_jobs_are_remembered(file: Path) -> None:
    names = [str(number) for number in range(REMEMBERED + 5)]
    queue = filled(file, *names)
    for name in names:
        queue.end(Cancelled(name))
    assert [job for job, _ in states(queue)] == names[5:]


def test_a_waiting_job_is_made_earlier_or_later(file: Path) -> None:
    queue = filled(file, "a", "b", "c", "d")
    queue.take()
    assert queue.move("d", "up")
    assert queue.waiting == ["b", "d", "c"]
    assert queue.move("b", "down")
    assert queue.waiting == ["d", "b", "c"]
    assert queue.move("c", "first")
    assert queue.waiting == ["c", "d", "b"]
    queue.save()
    again = JobQueue(file)
    again.restore(nothing)
    assert again.waiting == ["c", "d", "b"]


@pytest.mark.parametrize(
    ("job", "way"),
    [("b", "up"), ("b", "first"), ("c", "down"), ("a", "down"), ("a", "first"), ("unheard of", "up")],
)
def test_what_cannot_move_stays(file: Path, job: str, way: Way) -> None:
    queue = filled(file, "a", "b", "c")
    queue.take()
    assert not queue.move(job, way)
    assert queue.waiting == ["b", "c"]
