"""How an engine comes and goes. None of these waits for a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from sdtui.engine.client import EngineClient, EngineError, EngineLost, NoEngine
from sdtui.engine.protocol import Ask, Job, Snapshot, Stop
from sdtui.history import History, Origin
from sdtui.request import GenerationRequest
from sdtui.settings import Settings, places, save_settings
from sdtui.spawn import environment, python
from tests.engine.talk import LONG, connected, heard, snapshot

OLD_ENGINE = "import sdtui; sdtui.__version__ = '0.0.1'; from sdtui.engine.host import main; main()"


@pytest.fixture(autouse=True)
def own_engine(home: Path) -> Iterator[Path]:
    """An empty home, and no engine left in it."""
    yield home
    EngineClient.stop(timeout=30)


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def asked() -> Snapshot:
    client = EngineClient.connect(start=False)
    try:
        return snapshot(client)
    finally:
        client.close()


def test_without_an_engine_there_is_none_to_ask() -> None:
    with pytest.raises(NoEngine):
        EngineClient.connect(start=False)
    assert not EngineClient.stop()


def test_an_engine_nobody_needs_leaves() -> None:
    save_settings(Settings(engine_idle_minutes=0.01))
    client = EngineClient.connect()
    pid = snapshot(client).pid
    time.sleep(1.5)  # longer than it may idle: while a client is there, it stays
    assert snapshot(client).pid == pid
    client.close()
    eventually(lambda: not psutil.pid_exists(pid))
    assert not places().socket.exists()
    EngineClient.connect(timeout=30).close()


def test_an_engine_removes_what_was_deleted_long_ago() -> None:
    save_settings(Settings(trash_days=0))
    places().pictures.mkdir(parents=True)
    picture = places().pictures / "apple.png"
    picture.write_bytes(b"apple")
    request = GenerationRequest(prompt="apple", seed=1)
    origin = Origin(request=request, model="starter", model_hash="0", runtime="portable", version="1")
    with History(places().history_file) as history:
        record = history.add(path=picture, origin=origin, size=(64, 64), seconds={}, peak_memory_bytes=1)
        history.trash(record.id, places().trash)
        client = EngineClient.connect(timeout=30)
        eventually(lambda: history.get(record.id) is None)
    client.close()
    assert not list(places().trash.iterdir())


def test_an_idle_worker_gives_its_memory_back() -> None:
    save_settings(Settings(unload_minutes=0.02))
    client = connected()
    try:
        eventually(lambda: snapshot(client).worker_pid is not None)
        worker = snapshot(client).worker_pid
        assert worker is not None
        eventually(lambda: snapshot(client).worker_pid is None)
        eventually(lambda: not psutil.pid_exists(worker))
        assert snapshot(client).warmth == "cold"
    finally:
        client.close()


def test_asking_starts_no_worker() -> None:
    client = EngineClient.connect()
    client.send(Ask())
    assert snapshot(client).worker_pid is None
    client.close()


def test_stop_ends_it() -> None:
    client = connected()
    pid = snapshot(client).pid
    client.send(Stop())
    with pytest.raises(EngineLost):
        heard(client, lambda _: False)
    client.close()
    eventually(lambda: not psutil.pid_exists(pid))


def test_there_is_only_one_engine() -> None:
    client = EngineClient.connect()
    second = subprocess.run(python("sdtui.engine.host"), env=environment(), timeout=30, check=False)
    assert second.returncode == 0
    pids = set()
    for _ in range(3):
        pids.add(asked().pid)
    assert pids == {snapshot(client).pid}
    client.close()


def test_what_waits_is_taken_up_after_an_orderly_end(tiny_bundle: Path) -> None:
    request = GenerationRequest(prompt="later", model=str(tiny_bundle), seed=1, steps=LONG)
    put_in_queue(request)
    client = connected()
    eventually(lambda: [job.state for job in snapshot(client).jobs] == ["running"])
    os.kill(snapshot(client).pid, signal.SIGTERM)
    with pytest.raises(EngineLost):
        heard(client, lambda _: False)
    client.close()
    saved = msgspec.json.decode(places().queue_file.read_bytes(), type=list[Job])
    assert [(job.state, job.request) for job in saved] == [("queued", request)]
    again = EngineClient.connect(timeout=30)
    assert [job.request for job in snapshot(again).jobs] == [request]
    again.close()


def test_an_idle_engine_of_another_version_is_replaced() -> None:
    old = start_old_engine()
    client = EngineClient.connect(timeout=30)
    assert snapshot(client).pid != old.pid
    assert old.wait(10) == 0
    client.close()


def test_an_engine_of_another_version_at_work_is_left_alone_but_can_be_stopped(tiny_bundle: Path) -> None:
    put_in_queue(GenerationRequest(prompt="busy", model=str(tiny_bundle), seed=1, steps=LONG))
    old = start_old_engine()
    with pytest.raises(EngineError, match=r"0\.0\.1 and at work"):
        EngineClient.connect()
    assert old.poll() is None
    assert EngineClient.stop(timeout=30)
    old.wait(10)


def test_a_socket_swept_away_is_made_again() -> None:
    client = EngineClient.connect()
    places().socket.unlink()
    eventually(lambda: places().socket.exists())
    assert asked().pid == snapshot(client).pid
    client.close()


def test_an_engine_that_cannot_start_says_why(home: Path) -> None:
    (home / "runtime").write_text("in the way")
    with pytest.raises(EngineError, match="not a folder of yours"):
        EngineClient.connect(timeout=30)
    (home / "runtime").unlink()


def test_it_starts_from_any_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('a file of yours was imported')")
    (tmp_path / "home").symlink_to(home)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("SDTUI_HOME", "home")
    monkeypatch.chdir(tmp_path)
    client = EngineClient.connect(timeout=30)
    assert snapshot(client).pid
    client.close()
    assert not (tmp_path / "home" / "home").exists()


def put_in_queue(request: GenerationRequest) -> None:
    """Leave a job behind as an engine that was stopped does."""
    file = places().queue_file
    file.parent.mkdir(parents=True)
    file.write_bytes(msgspec.json.encode([Job("waiting", request, "queued")]))


def start_old_engine() -> subprocess.Popen[bytes]:
    places().state.mkdir(parents=True, exist_ok=True)
    old = subprocess.Popen([sys.executable, "-c", OLD_ENGINE], env=environment(), start_new_session=True)
    eventually(places().socket.exists)
    return old
