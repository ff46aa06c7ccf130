"""``sdtui engine`` beside a real engine whose worker is busy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui.cli import main
from sdtui.engine.client import EngineClient
from tests.engine.talk import LONG, connected, stepping, submit


@pytest.fixture
def queue(home: Path, tiny_bundle: Path) -> Iterator[None]:  # noqa: ARG001
    """A picture that is being made, and three that wait."""
    client = connected()
    stepping(client, submit(client, tiny_bundle, "long", steps=LONG))
    for prompt in ("one", "two", "three"):
        submit(client, tiny_bundle, prompt)
    yield
    client.close()
    EngineClient.stop(timeout=30)


def queued(printed: str) -> list[str]:
    """What waits, as the command printed it."""
    return [line.split(maxsplit=2)[2] for line in printed.splitlines() if " queued " in line]


@pytest.mark.usefixtures("queue")
def test_what_waits_is_moved_and_cancelled_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "status"]) == 0
    printed = capsys.readouterr().out
    assert "running  long" in printed
    assert queued(printed) == ["one", "two", "three"]
    assert main(["engine", "move", "3", "first"]) == 0
    assert queued(capsys.readouterr().out) == ["three", "one", "two"]
    assert main(["engine", "move", "1", "down"]) == 0
    assert queued(capsys.readouterr().out) == ["one", "three", "two"]
    assert main(["engine", "cancel", "2"]) == 0
    assert queued(capsys.readouterr().out) == ["one", "two"]
    assert main(["engine", "cancel", "3"]) == 1
    assert capsys.readouterr().err == ("error: there is no picture 3, 2 wait, see `sdtui engine status`\n")
