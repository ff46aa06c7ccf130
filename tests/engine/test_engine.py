"""The engine as people meet it: real processes, real sockets, a tiny real model."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import threading
from pathlib import Path

import psutil
import pytest
from PIL import Image

from sdtui.engine.client import EngineClient, EngineLost
from sdtui.engine.protocol import (
    Cancel,
    Cancelled,
    Failed,
    Finished,
    Gauge,
    Move,
    Progress,
    Queued,
    Reordered,
    Snapshot,
    Submit,
)
from sdtui.history import History
from sdtui.history.png import read_origin
from sdtui.settings import places
from tests.engine.talk import LONG, connected, heard, is_end, outcome, pixels, snapshot, stepping, submit


def finished(client: EngineClient, job: str) -> Finished:
    end = outcome(client, job)
    assert isinstance(end, Finished), end
    return end


def test_the_same_request_gives_the_same_pixels_and_another_seed_others(
    client: EngineClient, tiny_bundle: Path
) -> None:
    first, again, other = (
        finished(client, submit(client, tiny_bundle, seed=seed)).result.path for seed in (7, 7, 8)
    )
    assert len({first, again, other}) == 3
    assert pixels(first) == pixels(again)
    assert pixels(first) != pixels(other)


def test_a_picture_tells_its_story(client: EngineClient, tiny_bundle: Path) -> None:
    job = submit(client, tiny_bundle, "a green pear", steps=4)
    queued = heard(client, lambda message: isinstance(message, Queued) and message.job == job)
    assert isinstance(queued, Queued)
    assert queued.ahead == 0
    events = []
    while not isinstance(message := heard(client, lambda _: True), Finished):
        if isinstance(message, Progress):
            events.append(type(message.event).__name__)
            assert 0 < message.memory.engine <= message.memory.engine_peak < message.memory.machine_total
    assert events[-6:] == ["Encoding", "Step", "Step", "Step", "Step", "Decoding"]
    with History(places().history_file) as history:
        record = history.of_job(job)
    assert record is not None
    assert record.id == message.result.picture
    assert record.path == message.result.path
    assert record.request == message.request
    assert (record.request.prompt, record.request.width) == ("a green pear", 64)
    assert read_origin(Path(record.path)) == record.origin


def test_the_second_picture_finds_the_model_warm(client: EngineClient, tiny_bundle: Path) -> None:
    finished(client, submit(client, tiny_bundle))
    assert snapshot(client).warmth == "warm"
    assert finished(client, submit(client, tiny_bundle)).result.seconds.load == 0


def test_the_gauge_moves_while_someone_watches(client: EngineClient) -> None:
    gauges = [heard(client, lambda message: isinstance(message, Gauge)) for _ in range(2)]
    assert all(isinstance(gauge, Gauge) and gauge.memory.engine > 0 for gauge in gauges)


def test_jobs_running_and_queued_can_be_cancelled(client: EngineClient, tiny_bundle: Path) -> None:
    running = submit(client, tiny_bundle, steps=LONG)
    waiting = submit(client, tiny_bundle, steps=LONG)
    last = submit(client, tiny_bundle)
    stepping(client, running)
    assert [job.state for job in snapshot(client).jobs if job.job in (running, waiting, last)] == [
        "running",
        "queued",
        "queued",
    ]
    client.send(Cancel(waiting))
    assert isinstance(outcome(client, waiting), Cancelled)
    client.send(Cancel(running))
    assert isinstance(outcome(client, running), Cancelled)
    assert isinstance(outcome(client, last), Finished)
    assert snapshot(client).warmth == "warm", "a cancel between steps costs nothing"


def test_a_waiting_job_can_be_made_before_the_others(client: EngineClient, tiny_bundle: Path) -> None:
    running = submit(client, tiny_bundle, steps=LONG)
    waiting = [submit(client, tiny_bundle, seed=seed) for seed in range(3)]
    stepping(client, running)
    late = connected()
    try:
        client.send(Move(waiting[2], "first"))
        for listener in (client, late):
            told = heard(listener, lambda message: isinstance(message, Reordered))
            assert told == Reordered([waiting[2], waiting[0], waiting[1]])
    finally:
        late.close()
    client.send(Cancel(running))
    ends = [heard(client, lambda message: isinstance(message, Finished)) for _ in waiting]
    assert [end.job for end in ends if isinstance(end, Finished)] == [waiting[2], waiting[0], waiting[1]]


def test_two_clients_share_one_engine(client: EngineClient, tiny_bundle: Path) -> None:
    other = connected()
    try:
        jobs = [submit(client, tiny_bundle, seed=1), submit(other, tiny_bundle, seed=2)]
        for listener in (client, other):
            ends = [heard(listener, lambda message: any(is_end(message, job) for job in jobs)) for _ in jobs]
            assert {end.request.seed for end in ends if isinstance(end, Finished)} == {1, 2}
        assert snapshot(client).pid == snapshot(other).pid
    finally:
        other.close()


def test_submitting_twice_makes_one_picture(client: EngineClient, tiny_bundle: Path) -> None:
    job = submit(client, tiny_bundle)
    first = finished(client, job)
    client.send(Submit(job, first.request))
    assert outcome(client, job) == first


def test_a_client_that_leaves_loses_nothing(client: EngineClient, tiny_bundle: Path) -> None:
    leaver = connected()
    job = submit(leaver, tiny_bundle, steps=20)
    stepping(leaver, job)
    leaver.close()
    end = finished(client, job)
    with History(places().history_file) as history:
        assert history.of_job(job) is not None
    late = connected()
    try:
        arrival = heard(late, lambda message: isinstance(message, Snapshot))
        assert isinstance(arrival, Snapshot)
        assert [seen.result for seen in arrival.jobs if seen.job == job] == [end.result]
    finally:
        late.close()


def test_a_failure_is_told_in_parts(client: EngineClient, tiny_bundle: Path, tmp_path: Path) -> None:
    end = outcome(client, submit(client, tmp_path / "no model here"))
    assert isinstance(end, Failed)
    assert "no model here" in end.failure.what
    assert end.failure.why
    assert end.failure.remedy
    wrong_size = outcome(client, submit(client, tiny_bundle, width=8, height=8))
    assert isinstance(wrong_size, Failed)
    assert "64" in wrong_size.failure.why
    assert isinstance(outcome(client, submit(client, tiny_bundle)), Finished)


def test_the_engine_is_this_persons_alone(client: EngineClient) -> None:
    assert snapshot(client).pid > 0
    socket = places().socket
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_the_engine_has_no_terminal(client: EngineClient) -> None:
    pid = snapshot(client).pid
    assert os.getsid(pid) == pid != os.getsid(0)


def test_closing_wakes_the_thread_that_listens(client: EngineClient) -> None:
    lost = threading.Event()

    def listen() -> None:
        with pytest.raises(EngineLost):
            while True:
                client.receive()
        lost.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    client.close()
    assert lost.wait(10)
    listener.join()


def test_a_killed_worker_costs_one_job(client: EngineClient, tiny_bundle: Path) -> None:
    doomed = submit(client, tiny_bundle, steps=LONG)
    next_one = submit(client, tiny_bundle)
    stepping(client, doomed)
    worker = snapshot(client).worker_pid
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    end = outcome(client, doomed)
    assert isinstance(end, Failed)
    assert "killed" in end.failure.why
    assert isinstance(outcome(client, next_one), Finished)
    assert snapshot(client).worker_pid != worker


def test_a_worker_that_does_not_listen_is_replaced(client: EngineClient, tiny_bundle: Path) -> None:
    stuck = submit(client, tiny_bundle, steps=LONG)
    stepping(client, stuck)
    worker = snapshot(client).worker_pid
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    client.send(Cancel(stuck))
    assert isinstance(outcome(client, stuck), Cancelled)
    assert not psutil.pid_exists(worker)


def test_a_killed_engine_loses_the_running_job_only(client: EngineClient, tiny_bundle: Path) -> None:
    doomed = submit(client, tiny_bundle, steps=LONG)
    waiting = submit(client, tiny_bundle, "a lighthouse")
    stepping(client, doomed)
    before = snapshot(client)
    os.kill(before.pid, signal.SIGKILL)
    with pytest.raises(EngineLost):
        heard(client, lambda _: False)
    again = connected()
    try:
        after = heard(again, lambda message: isinstance(message, Snapshot))
        assert isinstance(after, Snapshot)
        assert after.pid != before.pid
        assert (after.jobs[0].job, after.jobs[0].state) == (doomed, "failed")
        assert finished(again, waiting).request.prompt == "a lighthouse"
        again.send(Submit(doomed, before.jobs[-2].request))
        end = outcome(again, doomed)
        assert isinstance(end, Failed)
        assert "killed" in end.failure.why
    finally:
        again.close()
    assert before.worker_pid is not None
    psutil.wait_procs([psutil.Process(before.worker_pid)] if psutil.pid_exists(before.worker_pid) else [], 30)
    assert not psutil.pid_exists(before.worker_pid), "a worker without a host leaves"


def test_a_job_waits_with_pictures_of_its_own(
    client: EngineClient, tiny_bundle: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "red").save(photo)
    content = photo.read_bytes()
    job = submit(client, tiny_bundle, image=str(photo))
    queued = heard(client, lambda message: isinstance(message, Queued) and message.job == job)
    photo.unlink()
    assert isinstance(queued, Queued)
    kept = places().inputs / f"{hashlib.sha256(content).hexdigest()}.png"
    assert queued.request.image == str(kept)
    assert kept.read_bytes() == content
    assert next(each for each in snapshot(client).jobs if each.job == job).request.image == str(kept)
    outcome(client, job)


def test_a_picture_that_is_not_there_is_told_at_once(
    client: EngineClient, tiny_bundle: Path, tmp_path: Path
) -> None:
    job = submit(client, tiny_bundle, image=str(tmp_path / "absent.png"))
    failed = heard(client, lambda message: isinstance(message, Failed | Queued))
    assert isinstance(failed, Failed)
    assert failed.job == job
    assert failed.failure.why == "no such file or directory"
    assert job not in [each.job for each in snapshot(client).jobs]
