"""A child process is told, tells, fails, dies and is stopped, with real processes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from sdtui.child import Child, how_it_ended
from sdtui.errors import SdtuiError
from tests.stand_in_child import Order, Said


def child(act: str, *arguments: str, complaints: int | None = subprocess.DEVNULL) -> Child[Said]:
    return Child(
        "tests.stand_in_child",
        Order(act),
        *arguments,
        events=Said,
        errors=SdtuiError,
        nothing="nothing was said",
        complaints=complaints,
    )


def said(speaker: Child[Said]) -> list[str]:
    return [event.text for event in speaker.events() if event is not None]


def test_it_tells_until_it_is_done() -> None:
    speaker = child("told")
    assert said(speaker) == ["told", "done"]
    assert speaker.wait() == 0
    speaker.close()


def test_what_libraries_print_is_no_event(capfd: pytest.CaptureFixture[str]) -> None:
    assert said(child("noisy", complaints=None)) == ["noisy", "done"]
    assert capfd.readouterr().err == "a library is loaded\n{}\n"


@pytest.mark.parametrize(
    ("act", "error"),
    [
        ("refused", ("it cannot be", "it is refused", "ask for something else")),
        ("full", ("nothing was said", "no space left on device: file", "make room, then try again")),
        ("starved", ("nothing was said", "memory ran out", "close other programs, or add memory")),
    ],
)
def test_its_errors_arrive(act: str, error: tuple[str, str, str]) -> None:
    with pytest.raises(SdtuiError) as caught:
        said(child(act))
    assert caught.value.args == error


@pytest.mark.parametrize(
    ("act", "how"),
    [
        ("mistaken", "ended unexpectedly (exit status 1)"),
        ("killed", "was killed, perhaps because memory ran out"),
    ],
)
def test_how_it_died_is_told(act: str, how: str) -> None:
    speaker = child(act)
    assert said(speaker) == []
    assert how_it_ended(speaker.wait()) == how
    assert how_it_ended(-signal.SIGSEGV) == "ended unexpectedly (signal 11)"


def test_an_order_that_it_does_not_understand_is_refused() -> None:
    class Other(msgspec.Struct):
        number: int

    speaker: Child[Said] = Child(
        "tests.stand_in_child", Other(1), events=Said, errors=SdtuiError, nothing="nothing was said"
    )
    with pytest.raises(SdtuiError, match="nothing was said, the order cannot be read"):
        said(speaker)


@pytest.mark.parametrize(
    ("act", "patience", "status"), [("waiting", 60.0, 130), ("deaf", 0.2, -signal.SIGKILL)]
)
def test_what_is_stopped_is_gone_with_what_it_started(act: str, patience: float, status: int) -> None:
    speaker = child(act, act)
    told = next(filter(None, speaker.events()))
    sleeper = psutil.Process(int(told.text))
    began = time.monotonic()
    speaker.close(patience)
    assert time.monotonic() - began < 30
    assert speaker.wait() == status
    assert psutil.wait_procs([sleeper], timeout=30)[1] == []


def test_one_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(SdtuiError, match="nothing was said, no such file or directory, try again"):
        child("told")
