"""Conversions in the engine: real processes, and a converter that converts nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import psutil
import pytest

from sdtui.bundle import installed
from sdtui.cli import main
from sdtui.conversion import ConversionRequest
from sdtui.engine.client import EngineClient, EngineLost, NoEngine
from sdtui.engine.conversions import ATTEMPTS, Left
from sdtui.engine.protocol import Cancel, Conversion, Convert, EngineMessage, Finished, Snapshot, Watch
from sdtui.settings import Settings, places, save_settings
from sdtui.spawn import environment
from tests.convert.folder import save_folder
from tests.engine.talk import connected, heard, outcome, snapshot, submit
from tests.engine.test_lifetime import eventually
from tests.on_terminal import ROOT
from tests.tiny import TinyTorch

ENGINE = """
import sdtui.engine.converter
sdtui.engine.converter.MODULE = "tests.stand_in_converter"
from sdtui.engine.host import main
main()
"""


@pytest.fixture(autouse=True)
def own_engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home, and no engine left in it."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield home
    EngineClient.stop(timeout=30)


def watching() -> EngineClient:
    """A client that watches the engine, which is started where there is none."""
    if not reached():
        engine = subprocess.Popen(
            [sys.executable, "-c", ENGINE],
            env=environment(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=engine.wait, daemon=True).start()  # or it stays in the process table
        eventually(reached)
    client = EngineClient.connect(start=False)
    client.send(Watch())
    return client


def reached() -> bool:
    try:
        EngineClient.connect(start=False).close()
    except NoEngine:
        return False
    return True


@pytest.fixture
def client() -> Iterator[EngineClient]:
    client = watching()
    yield client
    client.close()


def ask(client: EngineClient, source: str = "good", name: str = "") -> Conversion:
    """Ask for a conversion into the models folder, and return how it stands."""
    job = uuid4().hex
    request = ConversionRequest(source=source, output=str(places().models / (name or source)))
    client.send(Convert(job, request))
    return told(client, job, lambda _: True)


def told(client: EngineClient, job: str, wanted: Callable[[Conversion], object]) -> Conversion:
    """The conversion ``job`` as soon as it is as ``wanted``."""

    def is_wanted(message: EngineMessage) -> bool:
        return isinstance(message, Conversion) and message.job == job and bool(wanted(message))

    message = heard(client, is_wanted)
    assert isinstance(message, Conversion)
    return message


def ended(client: EngineClient, job: str) -> Conversion:
    return told(client, job, lambda conversion: conversion.state not in ("queued", "running"))


def converting(client: EngineClient, job: str) -> list[int]:
    """Wait until ``job`` is at work, and return its processes."""
    told(client, job, lambda conversion: conversion.stage and conversion.stage.fraction > 0)
    return converters(snapshot(client).pid)


def converters(engine: int) -> list[int]:
    children = psutil.Process(engine).children()
    return [child.pid for child in children if "tests.stand_in_converter" in child.cmdline()]


def gone(pids: list[int]) -> bool:
    return not any(map(psutil.pid_exists, pids))


def steps(source: str) -> int:
    return int((places().models / f"{source}.steps").read_text())


def test_a_conversion_tells_its_story_and_its_bundle_is_a_model(client: EngineClient) -> None:
    asked = ask(client, name="mine")
    assert asked.state in ("queued", "running")
    running = told(client, asked.job, lambda conversion: conversion.stage is not None)
    assert running.state == "running"
    assert running.forecast is not None
    end = ended(client, asked.job)
    assert end.state == "finished"
    assert [network.network for network in end.networks] == ["text_encoder", "unet"]
    assert end.report is not None
    assert end.report.path == str(places().models / "mine")
    assert "mine" in [bundle.path.name for bundle in installed()]
    assert snapshot(client).conversions == [end]
    client.send(Convert(asked.job, asked.request))
    assert told(client, asked.job, lambda _: True) == end, "asking again tells how it ended"


def test_conversions_wait_for_each_other_and_are_cancelled(client: EngineClient) -> None:
    first, second, third = ask(client, "slow"), ask(client, "slow", "never"), ask(client, "good")
    pids = converting(client, first.job)
    assert [each.state for each in snapshot(client).conversions] == ["running", "queued", "queued"]
    client.send(Cancel(second.job))
    assert ended(client, second.job).state == "cancelled"
    client.send(Cancel(first.job))
    assert ended(client, first.job).state == "cancelled"
    assert ended(client, third.job).state == "finished"
    assert gone(pids)
    assert not (places().models / "slow").exists()
    assert not (places().models / "never.steps").exists()


def test_pictures_are_made_beside_a_conversion(client: EngineClient, tiny_bundle: Path) -> None:
    conversion = ask(client, "slow")
    pids = converting(client, conversion.job)
    assert isinstance(outcome(client, submit(client, tiny_bundle)), Finished)
    assert converters(snapshot(client).pid) == pids
    assert snapshot(client).conversions[0].state == "running"
    assert psutil.Process(pids[0]).nice() > psutil.Process(snapshot(client).pid).nice()


def test_a_killed_converter_fails_and_the_next_one_runs(client: EngineClient) -> None:
    doomed, following = ask(client, "slow"), ask(client, "good")
    (pid,) = converting(client, doomed.job)
    os.kill(pid, signal.SIGKILL)
    end = ended(client, doomed.job)
    assert end.state == "failed"
    assert end.failure is not None
    assert "killed" in end.failure.why
    assert "goes on from there" in end.failure.remedy
    assert ended(client, following.job).state == "finished"


def test_a_refusal_is_told_in_parts(client: EngineClient) -> None:
    end = ended(client, ask(client, "refused").job)
    assert end.failure is not None
    assert (end.failure.why, end.failure.remedy) == ("it is a pickle", "use safetensors")


def test_a_killed_engine_costs_no_conversion(client: EngineClient) -> None:
    running, waiting = ask(client, "slow"), ask(client, "good")
    pids = converting(client, running.job)
    os.kill(snapshot(client).pid, signal.SIGKILL)
    with pytest.raises(EngineLost):
        heard(client, lambda _: False)
    eventually(lambda: gone(pids))
    done = steps("slow")
    again = watching()
    try:
        resumed = told(again, running.job, lambda conversion: conversion.stage is not None)
        assert resumed.stage is not None
        assert resumed.stage.fraction >= done / 1500 > 0
        again.send(Cancel(running.job))
        assert ended(again, waiting.job).state == "finished"
    finally:
        again.close()


def test_what_kills_engine_after_engine_is_given_up(home: Path) -> None:
    request = ConversionRequest(source="good", output=str(home / "out"))
    left = [Left("deadly", request, ATTEMPTS), Left("innocent", request, 0)]
    places().state.mkdir(parents=True)
    places().conversions_file.write_bytes(msgspec.json.encode(left))
    client = watching()
    try:
        eventually(lambda: len(snapshot(client).conversions) == 2)
        deadly = snapshot(client).conversions[0]
        assert deadly.state == "failed"
        assert deadly.failure is not None
        assert "killed" in deadly.failure.why
        eventually(lambda: snapshot(client).conversions[1].state == "finished")
    finally:
        client.close()


def test_an_engine_that_is_asked_to_leave_hands_its_conversion_on(client: EngineClient) -> None:
    conversion = ask(client, "slow")
    pids = converting(client, conversion.job)
    before = snapshot(client)
    os.kill(before.pid, signal.SIGTERM)
    with pytest.raises(EngineLost):
        heard(client, lambda _: False)
    eventually(lambda: gone([before.pid, *pids]))
    again = watching()
    try:
        assert told(again, conversion.job, lambda each: each.stage is not None).state == "running"
    finally:
        again.close()


def test_stopping_the_engine_stops_the_conversion_for_good(client: EngineClient) -> None:
    pids = converting(client, ask(client, "slow").job)
    client.close()
    EngineClient.stop(timeout=30)
    assert gone(pids)
    again = watching()
    try:
        arrival = heard(again, lambda message: isinstance(message, Snapshot))
        assert isinstance(arrival, Snapshot)
        assert arrival.conversions == []
    finally:
        again.close()


def test_an_engine_with_a_conversion_stays(home: Path) -> None:
    save_settings(Settings(engine_idle_minutes=0.01))
    client = watching()
    engine = snapshot(client).pid
    conversion = ask(client, "slow", "long")
    converting(client, conversion.job)
    client.close()
    before = int((home / "data/models/long.steps").read_text())
    eventually(lambda: int((home / "data/models/long.steps").read_text()) > before + 100)
    assert psutil.pid_exists(engine), "2 s later, and idle engines leave after 0.6"
    again = watching()
    again.send(Cancel(conversion.job))
    again.close()
    eventually(lambda: not psutil.pid_exists(engine))


def test_the_memory_of_a_conversion_is_the_engines(client: EngineClient) -> None:
    (pid,) = converting(client, ask(client, "slow").job)

    def counted() -> bool:
        held = snapshot(client)
        processes = map(psutil.Process, (held.pid, pid))
        return bool(held.memory.engine >= sum(process.memory_info().rss for process in processes))

    eventually(counted)


def test_the_command_line_shows_the_conversion(
    client: EngineClient, capsys: pytest.CaptureFixture[str]
) -> None:
    converting(client, ask(client, "slow").job)
    assert main(["engine", "status"]) == 0
    assert re.search(r"running  convert slow, unet: tracing, \d+%, \d+:\d\d left", capsys.readouterr().out)


def test_a_real_conversion_goes_on_at_once_in_the_next_engine(
    home: Path, tiny_torch: TinyTorch, tmp_path: Path
) -> None:
    request = ConversionRequest(
        source=str(save_folder(tiny_torch, tmp_path / "tiny")),
        output=str(home / "data/models/tiny"),
        networks=("text-encoder",),
    )
    client = connected()
    client.send(Convert("real", request))
    told(client, "real", lambda conversion: conversion.stage and conversion.stage.stage == "tracing")
    os.kill(snapshot(client).pid, signal.SIGKILL)
    client.close()
    again = connected()
    try:
        end = ended(again, "real")
        assert end.report is not None, end.failure
        assert [network.faithful for network in end.report.networks] == [True]
        assert [path.name for path in (home / "data/models").iterdir()] == ["tiny"], "and nothing is left"
    finally:
        again.close()
