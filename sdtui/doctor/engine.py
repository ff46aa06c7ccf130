"""The resident process, asked and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from sdtui import __version__
from sdtui.conversion_page import amount
from sdtui.doctor.finding import Finding
from sdtui.engine.client import EngineClient, NoEngine
from sdtui.engine.protocol import VERSION, Ask, Snapshot
from sdtui.settings import places

SECTION = "engine"
ANSWER_SECONDS = 5.0


def engine() -> Iterator[Finding]:
    """Whether it runs, in which version, and what it holds."""
    hello = EngineClient.hello()
    if hello is None:
        left = places().socket.exists()
        told = (
            "nobody answers at its socket; the next one replaces it"
            if left
            else "it starts when it is needed"
        )
        yield Finding(section=SECTION, subject="process", told=f"none runs: {told}")
        return
    if (hello.version, hello.release) != (VERSION, __version__):
        yield Finding(
            section=SECTION, subject="process", level="note",
            told=f"process {hello.pid} is of version {hello.release}, this is {__version__}",
            remedy="`sdtui engine stop`; the next picture starts a new one",
        )  # fmt: skip
        return
    yield from _at_work()


def _at_work() -> Iterator[Finding]:
    try:
        with closing(EngineClient.connect(start=False)) as client:
            client.send(Ask())
            snapshot = client.receive(ANSWER_SECONDS)
    except NoEngine:
        yield Finding(section=SECTION, subject="process", told="it has just ended")
        return
    if not isinstance(snapshot, Snapshot):
        yield Finding(
            section=SECTION, subject="process", level="problem",
            told=f"it has not answered for {ANSWER_SECONDS:g} s", remedy="`sdtui engine stop`",
        )  # fmt: skip
        return
    memory = snapshot.memory
    yield Finding(
        section=SECTION, subject="process",
        told=f"process {snapshot.pid}, {snapshot.warmth}, version {__version__},"
        f" {snapshot.model or 'no model loaded'}",
        figures={"pid": snapshot.pid, "warmth": snapshot.warmth, "model": snapshot.model},
    )  # fmt: skip
    yield Finding(
        section=SECTION, subject="memory",
        told=f"{amount(memory.engine)}, at most {amount(memory.engine_peak)}",
        figures={"bytes": memory.engine, "peak": memory.engine_peak},
    )  # fmt: skip
